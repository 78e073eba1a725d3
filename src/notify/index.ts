/** Every notifier kind, in the order in which help lists them. Adding one touches its own file and this list. */
import { command } from './kinds/command.ts';
import { discord } from './kinds/discord.ts';
import { email } from './kinds/email.ts';
import { pagerduty } from './kinds/pagerduty.ts';
import { ping } from './kinds/ping.ts';
import { slack } from './kinds/slack.ts';
import { teams } from './kinds/teams.ts';
import { webhook } from './kinds/webhook.ts';
import type { NotifierKind } from './notifier.ts';

export const notifierKinds: readonly NotifierKind[] = [
  webhook,
  slack,
  discord,
  teams,
  email,
  command,
  ping,
  pagerduty,
];
