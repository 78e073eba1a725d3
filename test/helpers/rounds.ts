/**
 * How often a fault test kills, cuts or damages: `few` by default, so that the suite stays short, and at least
 * BACKPLAN_FAULT_ROUNDS times where that is set, for a thorough run.
 */
export function rounds(few: number): number {
  return Math.max(few, Number(process.env.BACKPLAN_FAULT_ROUNDS ?? 0));
}

/** Whether a thorough run was asked for: then variants are tested too that differ little from others. */
export const thorough = rounds(0) > 0;
