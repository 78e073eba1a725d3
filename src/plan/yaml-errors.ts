/** The YAML library's complaints in words for the person who wrote the plan. */

interface Words {
  readonly message: string;
  readonly hint?: string;
}

const WORDS: Readonly<Record<string, Words>> = {
  TAB_AS_INDENT: {
    message: 'this line is indented with a tab',
    hint: 'YAML allows only spaces for indentation.',
  },
  BAD_INDENT: {
    message: 'the indentation does not fit the lines above',
    hint: 'Keys that belong together must start in the same column.',
  },
  BLOCK_AS_IMPLICIT_KEY: {
    message: 'a map or list cannot start here',
    hint: 'Text with a colon needs quotes; what belongs under a key goes on a line of its own, indented further.',
  },
  MULTILINE_IMPLICIT_KEY: {
    message: 'a key must be on one line',
    hint: 'Is a colon or a quote missing above?',
  },
  BLOCK_IN_FLOW: {
    message: 'an indented map or list cannot stand inside { } or [ ]',
    hint: 'Write it as { key: value } or [a, b].',
  },
  KEY_OVER_1024_CHARS: {
    message: 'this key is too long',
    hint: 'Is a quote or a colon missing?',
  },
  MULTIPLE_DOCS: {
    message: 'a second document starts here',
    hint: 'A plan is one YAML document: remove the "---" or move what follows to another file.',
  },
  BAD_DIRECTIVE: { message: 'this directive is not known', hint: 'A plan needs no "%" lines.' },
  BAD_ALIAS: {
    message: 'this anchor or alias has no usable name',
    hint: 'Text that starts with * or & needs quotes.',
  },
  ALIAS_PROPS: { message: 'an alias can have no tag or anchor of its own' },
  MULTIPLE_ANCHORS: { message: 'a value can have only one anchor (&name)' },
  MULTIPLE_TAGS: { message: 'a value can have only one tag (!name)' },
  BAD_PROP_ORDER: { message: 'an anchor or tag must stand directly before its value' },
  BAD_COLLECTION_TYPE: { message: 'this tag does not fit its value', hint: 'A plan needs no tags.' },
  NON_STRING_KEY: { message: 'a key must be plain text' },
  RESOURCE_EXHAUSTION: { message: 'is nested too deeply' },
};

/** @param code the library's code; @param text the whole file; @param offset where it stumbled */
export function syntaxProblem(code: string, message: string, text: string, offset: number): Words {
  const here = text.slice(offset, offset + 1);
  switch (code) {
    case 'BAD_SCALAR_START':
      return {
        message: `a value cannot start with ${here === '' ? 'this character' : here}`,
        hint: `Put it in quotes: "${here}…".`,
      };
    case 'BAD_DQ_ESCAPE':
      return {
        message: `unknown escape ${text.slice(offset, offset + 2)} in a text in double quotes`,
        hint: 'Use single quotes for text with backslashes.',
      };
    case 'TAG_RESOLVE_FAILED':
      return {
        message: `unknown tag ${/^!\S*/.exec(text.slice(offset, offset + 60))?.[0] ?? ''}`.trimEnd(),
        hint: 'A plan needs no tags; text that starts with ! needs quotes.',
      };
    case 'MISSING_CHAR':
      return missing(message);
    case 'BAD_INDENT':
      return /end with a? ?[\]}]/.test(message) ? closing(message) : (WORDS.BAD_INDENT as Words);
    case 'UNEXPECTED_TOKEN':
      return {
        message: here.trim() === '' ? 'something is wrong here' : `"${here}" is not expected here`,
        hint: 'Is a quote, a comma, a bracket or a colon missing before it? Text with special characters needs quotes.',
      };
    default:
      return WORDS[code] ?? { message: 'this is not valid YAML' };
  }
}

function closing(message: string): Words {
  const bracket = message.includes('}') ? '}' : ']';
  return {
    message: `a "${bracket}" is missing, or its line is not indented enough`,
    hint: 'Every { and [ must be closed.',
  };
}

function missing(message: string): Words {
  if (/closing/i.test(message)) {
    const quote = message.includes("'") ? "'" : '"';
    return { message: `the closing ${quote} of a text is missing`, hint: 'Every quote must be closed.' };
  }
  if (/followed by map values|- indicator/i.test(message)) {
    return {
      message: 'a colon is missing after this key, or this text does not belong here',
      hint: 'Write "key: value"; list entries start with "- ".',
    };
  }
  if (/comment/i.test(message)) {
    return { message: 'a space is missing before the comment', hint: 'Text that holds a # needs quotes.' };
  }
  if (/space|separated/i.test(message)) return { message: 'a space is missing here' };
  if (/,/.test(message)) return { message: 'a comma is missing between two entries' };
  return { message: 'something is missing here', hint: 'Is a quote, a bracket or a colon missing?' };
}
