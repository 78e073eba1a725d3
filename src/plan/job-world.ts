/** What the expressions of one job can see: inputs, steps with their outputs, functions; and the types of all that. */
import { isRecord, own } from '../schema-walk.ts';
import { didYouMean, listNames, suggest } from '../suggest.ts';
import { celMessage } from './cel-errors.ts';
import {
  newEnvironment,
  nodesOf,
  type ReferenceInExpression,
  referencesOf,
  STATUS_FUNCTIONS,
} from './expressions.ts';
import { ancestorsOf, type Needs, needsOf } from './graph.ts';
import type { InputDocument, JobDocument } from './schema.ts';
import type { StepEntry } from './structure.ts';
import { isTemplate } from './template.ts';
import type { StepVocabulary, ValueType, Vocabulary } from './vocabulary.ts';

const STEP_STATUSES = ['succeeded', 'failed', 'skipped', 'cancelled', 'interrupted', 'pending', 'running'];

const RUN_FIELDS: Readonly<Record<string, ValueType>> = {
  id: 'string',
  job: 'string',
  plan: 'string',
  startedAt: 'string',
};
const PLAN_FIELDS: Readonly<Record<string, ValueType>> = { name: 'string' };

type Environment = ReturnType<typeof newEnvironment>;

/** Something wrong with an expression, by offsets in it. */
export interface ExpressionProblem {
  readonly start: number;
  readonly end: number;
  readonly message: string;
  readonly hint?: string | undefined;
}

type JobParts = Pick<JobDocument, 'inputs' | 'steps' | 'onFailure'>;

/** What the expressions of one job can see. */
export class JobWorld {
  readonly #inputs: Readonly<Record<string, InputDocument>>;
  readonly #entries: ReadonlyMap<string, StepEntry>;
  readonly #needs: Readonly<Record<StepEntry['group'], Needs>>;
  readonly #ancestors = new Map<string, ReadonlySet<string>>();
  readonly #vocabulary: Vocabulary;
  /** Set for the checks of a suite, which see nothing else. */
  readonly #params: Readonly<Record<string, unknown>> | undefined;
  #environment: Environment | undefined;
  #functions: { readonly plain: Set<string>; readonly methods: Set<string> } | undefined;

  constructor(
    job: JobParts,
    entries: readonly StepEntry[],
    vocabulary: Vocabulary,
    params?: Readonly<Record<string, unknown>>,
  ) {
    this.#needs = { steps: needsOf(job.steps ?? {}), onFailure: needsOf(job.onFailure) };
    this.#inputs = job.inputs;
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
    this.#vocabulary = vocabulary;
    this.#params = params;
  }

  /**
   * Everything that is wrong with an expression, and its type where it is known.
   * @param entry the step that holds it; undefined for defaults of inputs, which see only `run` and `plan`
   */
  check(
    source: string,
    entry: StepEntry | undefined,
  ): { problems: readonly ExpressionProblem[]; type?: ValueType | undefined } {
    const whole = { start: 0, end: Math.max(1, source.length) };
    if (source === '') return { problems: [{ ...whole, message: 'the expression is empty' }] };
    const environment = this.#typed();
    let ast: Parameters<typeof referencesOf>[0];
    try {
      ast = environment.parse(source).ast;
    } catch (error) {
      return {
        problems: [
          { ...rangeOf(error, source), message: `the expression is not valid: ${celMessage(error)}` },
        ],
      };
    }
    const references = referencesOf(ast);
    const problems = [
      ...references.flatMap((reference) => this.#checkReference(reference, entry)),
      ...this.#checkCalls(ast, source),
      ...checkStatusComparisons(ast),
    ];
    if (problems.length > 0) return { problems };
    const checked = environment.check(source);
    if (!checked.valid) {
      const message = celMessage(checked.error);
      return {
        problems: [{ ...rangeOf(checked.error, source), message: `the expression is not valid: ${message}` }],
      };
    }
    const [only] = references;
    const exact =
      references.length === 1 && only !== undefined && only.start === 0 && only.end === source.length
        ? this.#typeOf(only)
        : undefined;
    return { problems, type: exact ?? valueType(checked.type) };
  }

  #checkReference(reference: ReferenceInExpression, entry: StepEntry | undefined): ExpressionProblem[] {
    const { root, start, end, keys, computed } = reference;
    switch (root) {
      case 'inputs':
        if (entry === undefined) break;
        return computed !== undefined && keys.length === 0
          ? [{ ...computed, message: 'the input must be named directly', hint: 'Write inputs.NAME.' }]
          : this.#checkField(reference, 0, 'input', Object.keys(this.#inputs), 'The job has no inputs.');
      case 'steps':
        if (entry === undefined) break;
        return this.#checkStepReference(reference, entry);
      case 'run':
        return this.#checkField(reference, 0, 'field of run', Object.keys(RUN_FIELDS));
      case 'plan':
        return this.#checkField(reference, 0, 'field of plan', Object.keys(PLAN_FIELDS));
      case 'params':
        if (this.#params === undefined) break;
        return this.#checkField(
          reference,
          0,
          'parameter',
          Object.keys(this.#params),
          'Declare it under params of the suite, with its default.',
        );
      default:
        if (this.#typed().hasVariable(root)) return [];
    }
    const roots =
      this.#params !== undefined
        ? ['params', 'run', 'plan']
        : entry === undefined
          ? ['run', 'plan']
          : ['inputs', 'steps', 'run', 'plan'];
    const function_ = (STATUS_FUNCTIONS as readonly string[]).includes(root);
    return [
      {
        start,
        end: keys.length === 0 ? end : start + root.length,
        message: `unknown name "${root}"${function_ ? `, did you mean "${root}()"?` : didYouMean(root, roots)}`,
        hint: function_
          ? undefined
          : root === 'env' || root === 'secrets'
            ? 'Environment variables are written ${NAME}, outside of ${{ }}.'
            : `Expressions know ${listNames(roots)}; text needs quotes.`,
      },
    ];
  }

  #checkField(
    { keys }: ReferenceInExpression,
    index: number,
    word: string,
    known: readonly string[],
    none?: string,
  ): ExpressionProblem[] {
    const key = keys[index];
    if (key === undefined || known.includes(key.name)) return [];
    const near = didYouMean(key.name, known);
    return [
      {
        start: key.start,
        end: key.end,
        message: `unknown ${word} "${key.name}"${near}`,
        hint: near !== '' ? undefined : known.length === 0 ? none : `Known here: ${listNames(known)}.`,
      },
    ];
  }

  #checkStepReference(reference: ReferenceInExpression, entry: StepEntry): ExpressionProblem[] {
    const { keys, start, end, computed } = reference;
    const [step, part, output] = keys;
    if (step === undefined) {
      return [
        {
          ...(computed ?? { start, end }),
          message: 'a step must be named directly',
          hint: 'Write steps.NAME.outputs.KEY.',
        },
      ];
    }
    const target = this.#entries.get(step.name);
    if (target === undefined) return this.#checkField(reference, 0, 'step', [...this.#entries.keys()]);
    const place = { start: step.start, end: step.end };
    if (step.name === entry.name) {
      return [{ ...place, message: `step "${step.name}" cannot use its own outputs` }];
    }
    if (!this.#covers(entry, target)) {
      return [
        {
          ...place,
          message: `step "${entry.name}" uses step "${step.name}" but does not need it`,
          hint:
            target.group === 'onFailure' && entry.group === 'steps'
              ? 'Steps of onFailure run last: their outputs are not there yet.'
              : `Add it: needs: [${[...entry.step.needs, step.name].join(', ')}].`,
        },
      ];
    }
    const wrongPart = this.#checkField(reference, 1, 'part of a step', ['outputs', 'status']);
    if (wrongPart.length > 0 && part !== undefined) {
      const outputs = this.#outputsOf(target);
      return outputs !== undefined && Object.hasOwn(outputs, part.name)
        ? [
            {
              start: part.start,
              end: part.end,
              message: `outputs stand under "outputs"`,
              hint: `Write steps.${step.name}.outputs.${part.name}.`,
            },
          ]
        : wrongPart;
    }
    if (part?.name !== 'outputs' || output === undefined) return [];
    const outputs = this.#outputsOf(target);
    if (outputs === undefined || Object.hasOwn(outputs, output.name)) return [];
    const near = didYouMean(output.name, Object.keys(outputs));
    return [
      {
        start: output.start,
        end: output.end,
        message: `step "${step.name}" (${target.step.uses}) has no output "${output.name}"${near}`,
        hint: near === '' ? `Its outputs: ${listNames(Object.keys(outputs))}.` : undefined,
      },
    ];
  }

  /** Whether the target has certainly ended when the step starts. */
  #covers(entry: StepEntry, target: StepEntry): boolean {
    if (entry.group === 'onFailure' && target.group === 'steps') return true;
    if (entry.group !== target.group) return false;
    return this.#ancestorsOf(entry).has(target.name);
  }

  #ancestorsOf({ name, group }: StepEntry): ReadonlySet<string> {
    let found = this.#ancestors.get(name);
    if (found === undefined) {
      found = ancestorsOf(this.#needs[group], name);
      this.#ancestors.set(name, found);
    }
    return found;
  }

  #outputsOf(entry: StepEntry): StepVocabulary['outputs'] | undefined {
    return this.#vocabulary.steps.get(entry.step.uses)?.outputs;
  }

  #checkCalls(ast: Parameters<typeof nodesOf>[0], source: string): ExpressionProblem[] {
    const { plain, methods } = this.#known();
    const problems: ExpressionProblem[] = [];
    for (const { node } of nodesOf(ast)) {
      if (node.op === 'call') {
        const name = node.args[0];
        if (plain.has(name)) continue;
        problems.push({
          start: node.start,
          end: node.start + name.length,
          message: `unknown function "${name}"${didYouMean(name, plain)}`,
          hint:
            suggest(name, plain) === undefined ? `Functions are ${listNames(SHOWN_FUNCTIONS)}.` : undefined,
        });
      } else if (node.op === 'rcall') {
        const [name, receiver] = node.args;
        if (methods.has(name)) continue;
        const start = Math.max(source.indexOf(name, receiver.end), node.start);
        problems.push({
          start,
          end: start + name.length,
          message: `unknown function "${name}"${didYouMean(name, methods)}`,
        });
      }
    }
    return problems;
  }

  #known(): { readonly plain: Set<string>; readonly methods: Set<string> } {
    if (this.#functions === undefined) {
      const { functions } = this.#typed().getDefinitions();
      const names = (method: boolean) =>
        new Set(
          functions
            .filter((each) => (each.receiverType !== null && each.receiverType !== undefined) === method)
            .map(({ name }) => name),
        );
      this.#functions = { plain: names(false), methods: names(true) };
    }
    return this.#functions;
  }

  #typeOf({ root, keys }: ReferenceInExpression): ValueType | undefined {
    const [first, second, third] = keys.map(({ name }) => name);
    if (root === 'inputs' && first !== undefined && keys.length === 1)
      return inputType(own(this.#inputs, first));
    if (root === 'run' && keys.length === 1) return own(RUN_FIELDS, first ?? '');
    if (root === 'plan' && keys.length === 1) return own(PLAN_FIELDS, first ?? '');
    if (root === 'params') return keys.length === 1 ? paramType(own(this.#params, first ?? '')) : undefined;
    if (root !== 'steps' || first === undefined) return undefined;
    if (keys.length === 2 && second === 'status') return 'string';
    const entry = this.#entries.get(first);
    if (keys.length !== 3 || second !== 'outputs' || entry === undefined) return undefined;
    return own(this.#outputsOf(entry), third ?? '')?.type;
  }

  /** An environment that knows the type of every input and output. Numbers may be whole or not, so they are open. */
  #typed(): Environment {
    if (this.#environment !== undefined) return this.#environment;
    const environment = newEnvironment();
    for (const name of STATUS_FUNCTIONS) environment.registerFunction(`${name}(): bool`, () => true);
    const group = (name: string, fields: Readonly<Record<string, string>>) => {
      environment.registerType(name, { fields: { ...fields } });
      return name;
    };
    const steps: Record<string, string> = {};
    for (const [name, entry] of this.#entries) {
      const outputs = this.#outputsOf(entry);
      const fields = Object.entries(outputs ?? {}).map(([key, { type }]) => [key, celType(type)]);
      steps[name] = group(`Step_${name}`, {
        status: 'string',
        outputs: outputs === undefined ? 'dyn' : group(`Outputs_${name}`, Object.fromEntries(fields)),
      });
    }
    const inputs = Object.entries(this.#inputs).map(([name, input]) => {
      const type = inputType(input);
      const mayBeNull = input.optional && input.default === undefined;
      return [name, type === undefined || mayBeNull ? 'dyn' : celType(type)];
    });
    environment
      .registerVariable('inputs', group('Inputs', Object.fromEntries(inputs)))
      .registerVariable('steps', group('Steps', steps))
      .registerVariable('run', group('Run', RUN_FIELDS))
      .registerVariable('plan', group('Plan', PLAN_FIELDS));
    if (this.#params !== undefined) {
      const params = Object.entries(this.#params).map(([name, value]) => {
        const type = paramType(value);
        return [name, type === undefined ? 'dyn' : celType(type)];
      });
      environment.registerVariable('params', group('Params', Object.fromEntries(params)));
    }
    this.#environment = environment;
    return environment;
  }
}

const SHOWN_FUNCTIONS = [
  ...STATUS_FUNCTIONS,
  'has',
  'size',
  'string',
  'int',
  'double',
  'timestamp',
  'duration',
];

function inputType(input: InputDocument | undefined): ValueType | undefined {
  const type = input?.type;
  if (type === undefined) return undefined;
  return type === 'number' || type === 'boolean' ? type : 'string';
}

/** A parameter has the type of its default; what comes from the environment is text that may stand for anything. */
function paramType(value: unknown): ValueType | undefined {
  return typeof value === 'number' || typeof value === 'boolean'
    ? (typeof value as 'number' | 'boolean')
    : typeof value === 'string' && !isTemplate(value)
      ? 'string'
      : undefined;
}

function celType(type: ValueType): string {
  return { string: 'string', number: 'dyn', boolean: 'bool', list: 'list', map: 'map' }[type];
}

function valueType(type: string | undefined): ValueType | undefined {
  if (/^(Steps|Step_|Outputs_|Inputs|Run$|Plan$|Params$)/.test(type ?? '')) return 'map';
  switch (type?.replace(/<.*$/, '')) {
    case 'string':
      return 'string';
    case 'int':
    case 'uint':
    case 'double':
      return 'number';
    case 'bool':
      return 'boolean';
    case 'list':
      return 'list';
    case 'map':
      return 'map';
    default:
      return undefined;
  }
}

/** `steps.x.status == "success"` is never true: there is no such status. */
function checkStatusComparisons(ast: Parameters<typeof nodesOf>[0]): ExpressionProblem[] {
  const problems: ExpressionProblem[] = [];
  for (const { node } of nodesOf(ast)) {
    if (node.op !== '==' && node.op !== '!=') continue;
    const [left, right] = node.args;
    for (const [one, other] of [
      [left, right],
      [right, left],
    ] as const) {
      if (
        one.op !== '.' ||
        one.args[1] !== 'status' ||
        other.op !== 'value' ||
        typeof other.args !== 'string'
      )
        continue;
      if (STEP_STATUSES.includes(other.args)) continue;
      problems.push({
        start: other.start,
        end: other.end,
        message: `no step ever has the status "${other.args}"${didYouMean(other.args, STEP_STATUSES)}`,
        hint: `Statuses are ${listNames(STEP_STATUSES.slice(0, 5))}.`,
      });
    }
  }
  return problems;
}

function rangeOf(error: unknown, source: string): { start: number; end: number } {
  const range =
    isRecord(error) || error instanceof Error
      ? (error as { range?: { start: number; end: number } }).range
      : undefined;
  const start = Math.min(range?.start ?? 0, Math.max(0, source.length - 1));
  return { start, end: Math.max(start + 1, Math.min(range?.end ?? source.length, source.length)) };
}
