/** Text from the environment and results of expressions → values of the type that their place wants. */
import type { JsonSchema } from '../schema.ts';
import { acceptedTypes, accepts, isRecord, itemSchema, propertySchema } from '../schema-walk.ts';
import { hasExpression, isTemplate } from './template.ts';

/**
 * A copy in which every value has the type that its place wants, where that is possible without loss: text becomes a
 * number or a boolean where only those are possible, they become text where only text is, and a property that is
 * null although its schema knows no null is left out.
 */
export function settle(schema: JsonSchema | undefined, value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = schema === undefined ? undefined : itemSchema(schema, value);
    return value.map((item) => settle(items, item));
  }
  if (isRecord(value)) {
    const entries = Object.entries(value).flatMap(([key, item]) => {
      const place = schema === undefined ? undefined : propertySchema(schema, key, value);
      const absent =
        item === undefined ||
        (item === null && place !== undefined && !accepts(acceptedTypes(place), 'null'));
      return absent ? [] : [[key, settle(place, item)] as const];
    });
    return Object.fromEntries(entries);
  }
  return schema === undefined ? value : fitScalar(acceptedTypes(schema), value);
}

function fitScalar(accepted: ReturnType<typeof acceptedTypes>, value: unknown): unknown {
  if (accepted === undefined) return value;
  if ((typeof value === 'number' || typeof value === 'boolean') && accepted.has('string')) {
    return accepts(accepted, typeof value === 'boolean' ? 'boolean' : 'number') || accepted.has('integer')
      ? value
      : String(value);
  }
  if (typeof value !== 'string' || accepted.has('string')) return value;
  const text = value.trim();
  if (accepts(accepted, 'integer') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (accepted.has('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  return value;
}

/**
 * The same for what the environment gave only: values that were written in the plan are left as they are, and so are
 * templates with expressions, which are settled when those are known.
 * @param written as in the plan; @param value with the environment filled in
 */
export function settleEnvironment(schema: JsonSchema | undefined, written: unknown, value: unknown): unknown {
  if (Array.isArray(written) && Array.isArray(value)) {
    const items = schema === undefined ? undefined : itemSchema(schema, value);
    return value.map((item, index) => settleEnvironment(items, written[index], item));
  }
  if (isRecord(written) && isRecord(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => {
        const place = schema === undefined ? undefined : propertySchema(schema, key, value);
        return [key, settleEnvironment(place, written[key], item)];
      }),
    );
  }
  return schema === undefined || !isTemplate(written) || hasExpression(written)
    ? value
    : fitScalar(acceptedTypes(schema), value);
}
