/** Suggestions, for everyone inside and below `plan`. */
export { didYouMean, listNames, suggest } from '../suggest.ts';
