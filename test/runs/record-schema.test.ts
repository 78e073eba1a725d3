import { describe, expect, expectTypeOf, it } from 'vitest';
import { ERRORS, EXIT } from '../../src/errors.ts';
import type { RunRecord, StepRecord } from '../../src/runs/record.ts';
import { errorSchema, runSchema, type stepSchema } from '../../src/runs/record-schema.ts';
import type { Infer } from '../../src/schema.ts';

describe('the schema of a run', () => {
  it('has the keys of the type, and they are required where the type requires them', () => {
    type RunKeys = keyof RunRecord;
    type StepKeys = keyof StepRecord;
    expectTypeOf<keyof Infer<typeof runSchema>>().toEqualTypeOf<RunKeys>();
    expectTypeOf<keyof Infer<typeof stepSchema>>().toEqualTypeOf<StepKeys>();
    expectTypeOf<RunRecord['status']>().toExtend<Infer<typeof runSchema>['status']>();
    expectTypeOf<StepRecord['status']>().toExtend<Infer<typeof stepSchema>['status']>();
    expect(Object.keys(runSchema.properties)).toEqual(expect.arrayContaining([...runSchema.required]));
  });

  it('knows every error code and exit code', () => {
    expect(errorSchema.properties.code.enum).toEqual(Object.keys(ERRORS));
    expect([...runSchema.properties.exitCode.enum]).toEqual(Object.values(EXIT));
  });
});
