/**
 * Expressions inside `${{ }}`: the Common Expression Language, which has no loops without end, no assignment and
 * no access to the program. The only door to the CEL library.
 * Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md
 *
 * Whole numbers are 64-bit in CEL and come back as numbers; whole and broken numbers may be mixed. One evaluation
 * gets a second at most, because a regular expression or nested macros could otherwise take for ever.
 */
import { createContext, Script, type Context as VmContext } from 'node:vm';
import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { BackplanError } from '../errors.ts';
import { isRecord, own } from '../schema-walk.ts';
import { celMessage } from './cel-errors.ts';
import { type Part, parseTemplate } from './template.ts';

export { hasExpression } from './template.ts';

/** What expressions see. */
export interface Scope {
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly steps: Readonly<
    Record<string, { readonly status: string; readonly outputs?: Readonly<Record<string, unknown>> }>
  >;
  /** id, job, plan, startedAt. */
  readonly run: Readonly<Record<string, unknown>>;
  /** name. */
  readonly plan: Readonly<Record<string, unknown>>;
  /** Parameters of a suite, for its checks. */
  readonly params?: Readonly<Record<string, unknown>>;
  /** For conditions: how the step's needs ended. */
  readonly state: { readonly failed: boolean; readonly cancelled: boolean };
}

/** Functions that ask how the step's needs ended. */
export const STATUS_FUNCTIONS = ['always', 'success', 'failure', 'cancelled'] as const;

/** Milliseconds. */
const TIME_LIMIT = 1000;
const MAX_LENGTH = 4000;

/** The language: limits, and whole and broken numbers that mix. Shared by checking and evaluation. */
export function newEnvironment(): Environment {
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    limits: {
      maxAstNodes: 1000,
      maxDepth: 50,
      maxListElements: 200,
      maxMapEntries: 100,
      maxCallArguments: 10,
    },
  });
  const operators: Readonly<Record<string, (left: number, right: number) => number>> = {
    '+': (left, right) => left + right,
    '-': (left, right) => left - right,
    '*': (left, right) => left * right,
    '/': (left, right) => left / right,
  };
  for (const [operator, apply] of Object.entries(operators)) {
    const mixed = (left: number | bigint, right: number | bigint) => apply(Number(left), Number(right));
    environment.registerOperator(`int ${operator} double`, mixed);
    environment.registerOperator(`double ${operator} int`, mixed);
  }
  // Any value may be missing, and whether it is must be askable.
  for (const type of ['string', 'bool', 'int', 'double', 'list', 'map']) {
    environment.registerOperator(`${type} == null`, () => false);
  }
  return environment;
}

let base: Environment | undefined;

function environmentFor(state: Scope['state']): Environment {
  base ??= newEnvironment()
    .registerVariable('inputs', 'dyn')
    .registerVariable('steps', 'dyn')
    .registerVariable('run', 'dyn')
    .registerVariable('plan', 'dyn')
    .registerVariable('params', 'dyn');
  return base
    .clone()
    .registerFunction('always(): bool', () => true)
    .registerFunction('success(): bool', () => !state.failed && !state.cancelled)
    .registerFunction('failure(): bool', () => state.failed)
    .registerFunction('cancelled(): bool', () => state.cancelled);
}

/**
 * Replaces the expressions in every text inside a value. A text that is exactly one expression becomes its value,
 * whatever type that has; inside longer text values become text, null the empty text.
 * @throws EXPRESSION_FAILED naming the expression, and the step whose output is missing
 */
export function evaluate(template: unknown, scope: Scope): unknown {
  const environment = environmentFor(scope.state);
  const context = new Map<string, unknown>();
  const visit = (value: unknown): unknown => {
    if (typeof value === 'string') return evaluateText(value, scope, environment, context);
    if (Array.isArray(value)) return value.map(visit);
    if (!isRecord(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visit(item)]));
  };
  return visit(template);
}

function evaluateText(
  text: string,
  scope: Scope,
  environment: Environment,
  context: Map<string, unknown>,
): unknown {
  if (!text.includes('${')) return text;
  const { parts } = parseTemplate(text);
  const values = parts.map((part) =>
    part.kind === 'expression'
      ? evaluateSource(part.source, scope, environment, context)
      : part.kind === 'text'
        ? part.text
        : text.slice(part.start, part.end),
  );
  return values.length === 1 ? values[0] : values.map(toText).join('');
}

/**
 * Whether a step runs. Without a status function the condition also asks for `success()`; no condition at all
 * means `success()`.
 * @throws EXPRESSION_FAILED when the condition is neither true nor false
 */
export function evaluateCondition(expression: string | undefined, scope: Scope): boolean {
  const successful = !scope.state.failed && !scope.state.cancelled;
  if (expression === undefined) return successful;
  if (!asksForStatus(expression) && !successful) return false;
  const value = evaluateSource(expression, scope, environmentFor(scope.state), new Map());
  if (typeof value === 'boolean') return value;
  throw failed(
    expression,
    `a condition must be true or false, this is ${value === null ? 'null' : typeof value}`,
  );
}

/** Names of the steps that the expressions in a value mention; a condition is given as `${{ … }}`. */
export function mentionedSteps(value: unknown): Set<string> {
  const names = new Set<string>();
  const visit = (item: unknown) => {
    if (typeof item === 'string') {
      for (const part of expressionsIn(item)) {
        for (const { root, keys } of referencesIn(part.source)) {
          if (root === 'steps' && keys[0] !== undefined) names.add(keys[0].name);
        }
      }
    } else if (Array.isArray(item)) item.forEach(visit);
    else if (isRecord(item)) Object.values(item).forEach(visit);
  };
  visit(value);
  return names;
}

/** The expressions of a text, in order. */
export function expressionsIn(text: string): (Part & { kind: 'expression' })[] {
  if (!text.includes('${{')) return [];
  return parseTemplate(text).parts.filter((part) => part.kind === 'expression');
}

export function asksForStatus(expression: string): boolean {
  try {
    return nodesOf(newest().parse(expression).ast).some(
      ({ node }) => node.op === 'call' && (STATUS_FUNCTIONS as readonly string[]).includes(node.args[0]),
    );
  } catch {
    return false;
  }
}

let parser: Environment | undefined;

function newest(): Environment {
  parser ??= newEnvironment();
  return parser;
}

function evaluateSource(
  source: string,
  scope: Scope,
  environment: Environment,
  context: Map<string, unknown>,
): unknown {
  if (source.length > MAX_LENGTH) throw failed(source.slice(0, 60), 'it is too long');
  try {
    const run = environment.parse(source);
    for (const root of ['inputs', 'steps', 'run', 'plan', 'params'] as const) {
      if (!context.has(root))
        context.set(root, toCel(root === 'steps' ? withOutputs(scope.steps) : (scope[root] ?? {})));
    }
    return fromCel(withinTime(() => run(Object.fromEntries(context))));
  } catch (error) {
    if (error instanceof BackplanError) throw error;
    throw failed(source, missingKey(error, source, scope) ?? celMessage(error), error);
  }
}

/** A step that made nothing has no outputs: asking for one then names the step and the output. */
function withOutputs(steps: Scope['steps']): Scope['steps'] {
  return Object.fromEntries(
    Object.entries(steps).map(([name, { status, outputs = {} }]) => [name, { status, outputs }]),
  );
}

let sandbox: { readonly script: Script; readonly context: VmContext } | undefined;

/** Ends a function that takes longer than the limit, even inside a regular expression. */
function withinTime<T>(run: () => T): T {
  sandbox ??= { script: new Script('run()'), context: createContext({ run: undefined }) };
  const { script, context } = sandbox;
  const previous: unknown = context.run;
  context.run = run;
  try {
    return script.runInContext(context, { timeout: TIME_LIMIT }) as T;
  } finally {
    context.run = previous;
  }
}

function failed(source: string, reason: string, cause?: unknown): BackplanError {
  return new BackplanError('EXPRESSION_FAILED', `the expression "${source}" failed: ${reason}`, { cause });
}

/** `No such key` in words: which step gave no such output, and why. */
function missingKey(error: unknown, source: string, scope: Scope): string | undefined {
  const { code, range } = error as { code?: string; range?: { start: number } };
  if (code !== 'no_such_key' || range === undefined) return undefined;
  for (const { root, keys } of referencesIn(source)) {
    const index = keys.findIndex((key) => key.start === range.start);
    const key = keys[index];
    if (key === undefined) continue;
    const step = root === 'steps' && index > 0 ? keys[0]?.name : undefined;
    if (step !== undefined && index === 2) {
      const status = own(scope.steps, step)?.status;
      return `step "${step}" has no output "${key.name}"${status === undefined || status === 'succeeded' ? '' : `, its status is ${status}`}`;
    }
    if (root === 'steps' && index === 0) return `there is no step "${key.name}" before this one`;
    if (root === 'inputs' && index === 0) return `there is no input "${key.name}"`;
    return `"${[root, ...keys.slice(0, index).map(({ name }) => name)].join('.')}" has no "${key.name}"`;
  }
  return undefined;
}

/** `steps.dump.outputs.bytes` as root and keys, with offsets in the expression. */
export interface ReferenceInExpression {
  readonly root: string;
  readonly keys: readonly { readonly name: string; readonly start: number; readonly end: number }[];
  readonly start: number;
  readonly end: number;
  /** Set when a key is computed, so that what it names is only known later. */
  readonly computed?: { readonly start: number; readonly end: number };
}

/** Everything that an expression refers to; nothing when it cannot be parsed. */
export function referencesIn(source: string): ReferenceInExpression[] {
  try {
    return referencesOf(newest().parse(source).ast);
  } catch {
    return [];
  }
}

/** The same from a parsed expression; variables of macros (`list.map(x, …)`) are no references. */
export function referencesOf(ast: ASTNode): ReferenceInExpression[] {
  const found: ReferenceInExpression[] = [];
  for (const { node, bound, parent } of nodesOf(ast)) {
    if (node.op !== 'id' || bound.has(node.args)) continue;
    const keys: { name: string; start: number; end: number }[] = [];
    let end = node.end;
    let computed: { start: number; end: number } | undefined;
    for (let up = parent; up !== undefined; up = up.parent) {
      const { node: access } = up;
      if (access.op === '.') {
        const name = access.args[1];
        keys.push({ name, start: access.end - name.length, end: access.end });
      } else if (access.op === '[]') {
        const key: ASTNode = access.args[1];
        if (key.op !== 'value' || typeof key.args !== 'string') {
          computed = { start: key.start, end: key.end };
          break;
        }
        keys.push({ name: key.args, start: key.start, end: key.end });
      } else break;
      end = access.end;
    }
    found.push({
      root: node.args,
      keys,
      start: node.start,
      end,
      ...(computed === undefined ? {} : { computed }),
    });
  }
  return found;
}

interface Visited {
  readonly node: ASTNode;
  /** Names that macros around the node have bound. */
  readonly bound: ReadonlySet<string>;
  /** Set when the node is what its parent reads from: the left side of `.` and `[]`. */
  readonly parent?: Visited;
}

const MACROS = new Set(['map', 'filter', 'all', 'exists', 'exists_one', 'bind']);

/** All nodes of an expression, outermost first. */
export function nodesOf(ast: ASTNode, bound: ReadonlySet<string> = new Set(), parent?: Visited): Visited[] {
  const self: Visited = { node: ast, bound, ...(parent === undefined ? {} : { parent }) };
  const inside = (nodes: readonly ASTNode[], names: ReadonlySet<string> = bound) =>
    nodes.flatMap((node) => nodesOf(node, names));
  switch (ast.op) {
    case 'value':
    case 'id':
      return [self];
    case '.':
    case '.?':
      return [self, ...nodesOf(ast.args[0], bound, self)];
    case '[]':
    case '[?]':
      return [self, ...nodesOf(ast.args[0], bound, self), ...inside([ast.args[1]])];
    case 'call':
      return [self, ...inside(ast.args[1])];
    case 'rcall': {
      const [name, receiver, args] = ast.args;
      const variable = args[0];
      if (!MACROS.has(name) || args.length < 2 || variable?.op !== 'id')
        return [self, ...inside([receiver, ...args])];
      return [self, ...inside([receiver]), ...inside(args.slice(1), new Set([...bound, variable.args]))];
    }
    case 'map':
      return [self, ...inside(ast.args.flat())];
    case '!_':
    case '-_':
      return [self, ...inside([ast.args])];
    default:
      return [self, ...inside(ast.args as readonly ASTNode[])];
  }
}

/** Plain data → what CEL computes with: whole numbers as 64-bit integers, objects as maps without a prototype. */
function toCel(value: unknown): unknown {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(toCel);
  if (value !== null && typeof value === 'object') {
    return new Map(Object.entries(value).map(([key, item]) => [key, toCel(item)]));
  }
  return value;
}

/** What CEL computed → plain data. */
function fromCel(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    if (!Number.isSafeInteger(number)) throw new Error(`the number ${value} is too big`);
    return number;
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error(`the result is not a number (${value})`);
    return value;
  }
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(fromCel);
  if (value instanceof Map) return toRecord([...value].map(([key, item]) => [String(key), item]));
  if (isRecord(value)) return toRecord(Object.entries(value));
  throw new Error('the result is no text, number, list or map');
}

function toRecord(entries: readonly [string, unknown][]): Record<string, unknown> {
  return Object.fromEntries(
    entries.filter(([key]) => key !== '__proto__').map(([key, item]) => [key, fromCel(item)]),
  );
}

function toText(value: unknown): string {
  if (value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
