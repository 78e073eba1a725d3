import type { JsonSchema } from '../../src/schema.ts';

/** Paths of properties without description, or without an example that is valid for them. */
export function undocumented(
  document: JsonSchema & { $defs?: Readonly<Record<string, JsonSchema>> },
): string[] {
  const missing: string[] = [];
  const visit = (node: JsonSchema, path: string): void => {
    for (const [key, property] of Object.entries(node.properties ?? {})) {
      const here = `${path}.${key}`;
      const target =
        property.$ref === undefined ? property : (document.$defs?.[property.$ref.slice(8)] ?? {});
      if (target.description === undefined) missing.push(`${here}: description`);
      if (target.examples === undefined && !('const' in target)) missing.push(`${here}: example`);
      if (property.$ref === undefined) visit(property, here);
    }
    for (const list of [node.oneOf, node.anyOf])
      for (const [index, each] of (list ?? []).entries()) visit(each, `${path}|${index}`);
    if (typeof node.additionalProperties === 'object') visit(node.additionalProperties, `${path}.*`);
    if (node.items !== undefined) visit(node.items, `${path}[]`);
  };
  visit(document, '');
  for (const [name, definition] of Object.entries(document.$defs ?? {})) visit(definition, name);
  return missing;
}
