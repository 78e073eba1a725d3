/** Complaints of the expression library in words for the person who wrote the plan. */

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  uint: 'a whole number',
  double: 'a number',
  bool: 'true or false',
  null_type: 'null',
  null: 'null',
  list: 'a list',
  map: 'a map',
  bytes: 'bytes',
  dyn: 'a value',
  EOF: 'the end',
};

/** `dyn<string>` → text, `list<int>` → a list, `Step_dump` → a step. */
export function typeWords(type: string): string {
  const bare = type.replace(/^dyn<(.+)>$/, '$1').replace(/<.*$/, '');
  if (/^(Steps|Step_|Outputs_|Inputs|Run|Plan)/.test(bare)) return 'a group of values';
  return TYPES[bare] ?? bare;
}

const OPERATOR_WORDS: Readonly<Record<string, string>> = { '==': 'compare', '!=': 'compare', in: 'look for' };

/** An error of the library, or any other, as half a sentence. */
export function celMessage(error: unknown): string {
  const { code, summary, message } = error as { code?: string; summary?: string; message?: string };
  const text = summary ?? message ?? String(error);
  if ((error as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
    return 'it takes longer than a second';
  switch (code) {
    case 'unexpected_token':
      return text.endsWith('EOF') ? 'it ends too early' : `${tokenOf(text)} is not expected here`;
    case 'expected_token':
      return expectedToken(text);
    case 'unterminated_string':
      return 'the closing quote is missing';
    case 'unexpected_character':
      return `${text.replace('Unexpected character: ', '')} is not expected here`;
    case 'unknown_variable':
      return `unknown name "${text.replace('Unknown variable: ', '')}"`;
    case 'no_such_key':
      return `there is no "${text.replace('No such key: ', '')}"`;
    case 'no_such_overload':
      return overload(text.replace('no such overload: ', ''));
    case 'no_matching_overload':
      return call(text);
    case 'cannot_index_type':
    case 'invalid_index_type':
      return 'this value has no parts with a name';
    case 'invalid_condition_type':
      return 'what stands before "?" must be true or false';
    case 'invalid_logical_operand':
      return `"&&" and "||" need true or false on both sides`;
    case 'incompatible_ternary_branches':
      return 'both sides of ":" must have the same type';
    case 'numeric_overflow':
      return 'a number is too big';
    case 'division_by_zero':
      return 'it divides by zero';
    default:
      return text.split('\n')[0] ?? text;
  }
}

function tokenOf(text: string): string {
  const token = /: (\w+)$/.exec(text)?.[1];
  return token === undefined ? 'something' : `"${TOKENS[token] ?? token.toLowerCase()}"`;
}

const TOKENS: Readonly<Record<string, string>> = {
  PLUS: '+',
  MINUS: '-',
  MULTIPLY: '*',
  DIVIDE: '/',
  MODULO: '%',
  EQ: '==',
  NE: '!=',
  LT: '<',
  LE: '<=',
  GT: '>',
  GE: '>=',
  AND: '&&',
  OR: '||',
  NOT: '!',
  IN: 'in',
  LPAREN: '(',
  RPAREN: ')',
  LBRACKET: '[',
  RBRACKET: ']',
  LBRACE: '{',
  RBRACE: '}',
  DOT: '.',
  COMMA: ',',
  COLON: ':',
  QUESTION: '?',
  IDENTIFIER: 'a name',
  STRING: 'text',
  NUMBER: 'a number',
  EOF: 'the end',
};

function expectedToken(text: string): string {
  const [, wanted = '', got = ''] = /^Expected (\w+), got (\w+)/.exec(text) ?? [];
  const word = (token: string) => TOKENS[token] ?? token.toLowerCase();
  return got === 'EOF'
    ? `${word(wanted)} is missing at the end`
    : `expected ${word(wanted)}, found ${word(got)}`;
}

function overload(text: string): string {
  const binary = /^(.+) (==|!=|<=|>=|<|>|\+|-|\*|\/|%|in) (.+)$/.exec(text);
  if (binary !== null) {
    const [, left = '', operator = '', right = ''] = binary;
    const verb = OPERATOR_WORDS[operator];
    return verb === undefined
      ? `"${operator}" is not possible between ${typeWords(left)} and ${typeWords(right)}`
      : `"${operator}" cannot ${verb} ${typeWords(left)} ${verb === 'compare' ? 'with' : 'in'} ${typeWords(right)}`;
  }
  const unary = /^([!-])(.+)$/.exec(text);
  return unary === null ? text : `"${unary[1]}" is not possible with ${typeWords(unary[2] ?? '')}`;
}

function call(text: string): string {
  const match = /'(?:(.+)\.)?([A-Za-z_]\w*)\((.*)\)'$/.exec(text);
  if (match === null) return text;
  const [, receiver, name = '', args = ''] = match;
  const given = args === '' ? 'nothing' : args.split(', ').map(typeWords).join(', ');
  return receiver === undefined
    ? `the function ${name}() does not take ${given}`
    : `${typeWords(receiver)} has no function ${name}() that takes ${given}`;
}
