/** "Did you mean": the known name that comes closest to what was written. */
import { distance } from 'fastest-levenshtein';

/**
 * Case, dashes and underscores count for little (`keep-previous` is `keepPrevious`); beyond that four letters in ten
 * may differ, and two that changed places count as one. Returns undefined when nothing is near enough to be meant.
 */
export function suggest(written: string, known: Iterable<string>): string | undefined {
  // Nobody mistypes a name that long; comparing would take quadratic time.
  if (written.length > 100) return undefined;
  const normal = normalize(written);
  let best: string | undefined;
  let bestScore = Math.max(1, Math.floor(written.length * 0.4)) + 0.5;
  for (const candidate of known) {
    if (candidate === written) continue;
    const other = normalize(candidate);
    const score =
      normal === other
        ? 0.1
        : other.length >= 4 && normal.length >= 4 && (other.startsWith(normal) || normal.startsWith(other))
          ? 1
          : difference(normal, other);
    if (score < bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best;
}

/** `, did you mean "database"?`, or nothing. */
export function didYouMean(written: string, known: Iterable<string>): string {
  const near = suggest(written, known);
  return near === undefined ? '' : `, did you mean "${near}"?`;
}

/** `none`, `a`, `a and b`, `a, b and c`; at most twelve. */
export function listNames(names: Iterable<string>, conjunction = 'and'): string {
  const all = [...names];
  if (all.length === 0) return 'none';
  if (all.length > 12) return `${all.slice(0, 12).join(', ')}, … (${all.length} in all)`;
  if (all.length === 1) return all[0] ?? '';
  return `${all.slice(0, -1).join(', ')} ${conjunction} ${all.at(-1)}`;
}

/** Edits between two words; two neighbouring letters that changed places are one edit. */
function difference(a: string, b: string): number {
  if (a.length === b.length) {
    const first = [...a].findIndex((letter, index) => letter !== b[index]);
    const swapped = a.slice(0, first) + (a[first + 1] ?? '') + (a[first] ?? '') + a.slice(first + 2);
    if (first !== -1 && swapped === b) return 1;
  }
  return distance(a, b);
}

function normalize(name: string): string {
  return name.toLowerCase().replace(/[-_\s]/g, '');
}
