/** `email`: a mail through an SMTP server. */
import { readFile } from 'node:fs/promises';
import { Socket } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { oneLine, reasonOf } from '../http.ts';
import { type Answer, defineNotifier, type Message } from '../notifier.ts';
import { cut, plainText } from '../words.ts';

const address = { type: 'string', minLength: 3, pattern: '@', 'x-expected': 'a mail address' } as const;

export const email = defineNotifier({
  kind: 'email',
  summary: 'A mail through an SMTP server.',
  settings: {
    type: 'object',
    description: 'The server, from whom and to whom.',
    examples: [
      {
        host: 'smtp.example.com',
        user: '${SMTP_USER}',
        password: '${SMTP_PASSWORD}',
        from: 'backplan@example.com',
        to: ['dba@example.com'],
      },
    ],
    required: ['host', 'from', 'to'],
    additionalProperties: false,
    'x-expected': 'a map with host, from and to',
    properties: {
      host: { type: 'string', minLength: 1, description: 'SMTP server.', examples: ['smtp.example.com'] },
      port: {
        type: 'integer',
        minimum: 1,
        maximum: 65_535,
        description: 'Its port. Default: 465 with implicit TLS, 587 with starttls, 25 without TLS.',
        examples: [587],
      },
      tls: {
        enum: ['starttls', 'implicit', 'none'],
        description:
          'starttls: the connection is encrypted before anything is said, or given up. implicit: from the first byte. none: only for a server on this machine.',
        examples: ['starttls'],
        default: 'starttls',
      },
      ca: {
        type: 'string',
        minLength: 1,
        description:
          'File with the certificate of a private authority (PEM); a relative path starts at the folder of the plan.',
        examples: ['/etc/ssl/private-ca.pem'],
      },
      user: { type: 'string', minLength: 1, description: 'Login name.', examples: ['${SMTP_USER}'] },
      password: {
        type: 'string',
        minLength: 1,
        description: 'Password of the login.',
        examples: ['${SMTP_PASSWORD}', '${file:/run/secrets/smtp}'],
        'x-secret': true,
      },
      from: {
        ...address,
        description: 'Sender.',
        examples: ['backplan@example.com', 'Backups <backplan@example.com>'],
      },
      to: {
        description: 'Receivers.',
        examples: ['dba@example.com', ['dba@example.com', 'on-call@example.com']],
        'x-expected': 'a mail address or a list of them',
        oneOf: [address, { type: 'array', minItems: 1, items: address }],
      },
    },
  },
  validate: ({ user, password }) =>
    (user === undefined) === (password === undefined)
      ? []
      : [
          {
            path: [user === undefined ? 'password' : 'user'],
            message: 'user and password belong together',
            hint: 'Give both, or none for a server that wants no login.',
          },
        ],
  where: ({ host, to }) => `${[to].flat().join(', ')} by ${host}`,
  async send(message, settings, { signal, baseDirectory }) {
    const { host, tls, user, password, from, to, ca } = settings;
    const { port = tls === 'implicit' ? 465 : tls === 'none' ? 25 : 587 } = settings;
    let authority: string | undefined;
    try {
      authority =
        ca === undefined ? undefined : await readFile(isAbsolute(ca) ? ca : join(baseDirectory, ca), 'utf8');
    } catch (error) {
      return { delivered: false, said: `ca: ${oneLine((error as Error).message)}` };
    }
    const { createTransport } = await import('nodemailer');
    // One of ours, because the library leaves a connection that nobody answers open for a long time.
    const socket = new Socket();
    const hangUp = () => socket.destroy();
    signal.addEventListener('abort', hangUp, { once: true });
    const transport = createTransport({
      host,
      port,
      socket,
      secure: tls === 'implicit',
      requireTLS: tls === 'starttls',
      ignoreTLS: tls === 'none',
      ...(authority === undefined ? {} : { tls: { ca: authority } }),
      ...(user === undefined ? {} : { auth: { user, pass: password ?? '' } }),
      // The signal ends what takes too long; these only bound what it cannot reach.
      connectionTimeout: 30_000,
      greetingTimeout: 30_000,
      socketTimeout: 60_000,
      dnsTimeout: 30_000,
      // What comes in is text; nothing is read from files or addresses.
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    try {
      const sent = transport.sendMail({ from, to: [to].flat(), ...mail(message) });
      // When the signal wins, the other end of the race is still heard, by nobody.
      sent.catch(() => {});
      const { response } = (await Promise.race([sent, aborted(signal)])) as { response?: string };
      return { delivered: true, said: oneLine(response ?? 'accepted') };
    } catch (error) {
      if (signal.aborted) return { delivered: false, said: reasonOf(signal), again: true };
      return refused(error);
    } finally {
      signal.removeEventListener('abort', hangUp);
      socket.destroy();
    }
  },
});

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** 4xx is "try again later" (RFC 5321, 4.2.1); so are connections that fail. A refused login stays refused. */
function refused(error: unknown): Answer {
  const { message, code, responseCode } = error as { message: string; code?: string; responseCode?: number };
  const again =
    responseCode === undefined ? !['EAUTH', 'ETLS', 'ENOAUTH'].includes(code ?? '') : responseCode < 500;
  return { delivered: false, said: oneLine(message), again };
}

const MARKS: Readonly<Record<Message['level'], string>> = {
  error: 'PROBLEM',
  warning: 'WARNING',
  success: 'OK',
  info: 'INFO',
};

function mail(message: Message) {
  const { title, level, key, event, plan } = message;
  const thread = `<${encodeURIComponent(key).slice(0, 200)}@backplan>`;
  return {
    subject: cut(`[backplan ${MARKS[level]}] ${title}`.replace(/\s+/g, ' '), 200),
    text: plainText(message),
    // What is about the same thing shows as one conversation.
    references: [thread],
    inReplyTo: thread,
    headers: {
      // RFC 3834: nobody's holiday notice shall answer.
      'Auto-Submitted': 'auto-generated',
      'X-Backplan-Event': event,
      'X-Backplan-Plan': plan.replace(/[^\x20-\x7e]/g, '?'),
    },
  };
}
