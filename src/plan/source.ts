/** Positions in a plan file. */
export interface Position {
  readonly line: number;
  readonly column: number;
}
