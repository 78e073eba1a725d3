/** `completion`: prints the script that makes a shell complete commands, options, plan files and names from the plan. */
import { EXIT } from '../errors.ts';
import { argument, defineCommand } from './command.ts';

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

export const completion = defineCommand({
  name: 'completion',
  summary: 'print the completion script of a shell',
  description:
    'It completes commands, options and plan files, and the jobs, databases, repositories, suites and backups of the plan on the line.',
  group: 'Set-up',
  arguments: { shell: argument('your shell', SHELLS) },
  options: {},
  examples: [
    {
      line: 'completion bash > ~/.local/share/bash-completion/completions/backplan',
      does: 'for good, in bash',
    },
    { line: 'completion zsh > "${fpath[1]}/_backplan"', does: 'for good, in zsh' },
    { line: 'completion fish > ~/.config/fish/completions/backplan.fish', does: 'for good, in fish' },
  ],
  exits: [],
  async run({ shell }) {
    const { script } = await import('@bomb.sh/tab');
    if (shell === 'bash') process.stdout.write(BASH_FALLBACK);
    script(shell, 'backplan', 'backplan');
    return EXIT.success;
  },
});

/** The script leans on a function of the package bash-completion, which small systems lack. */
const BASH_FALLBACK = `if ! declare -F _get_comp_words_by_ref > /dev/null; then
  _get_comp_words_by_ref() {
    cur="\${COMP_WORDS[COMP_CWORD]}"
    prev="\${COMP_WORDS[COMP_CWORD-1]}"
    words=("\${COMP_WORDS[@]:0:COMP_CWORD+1}")
    cword=$COMP_CWORD
  }
fi
`;
