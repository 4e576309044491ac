// The page for a browser that a node or the console of a local cluster refuses: what is missing, and what to type.
// Programs receive a problem in JSON. The page loads nothing and runs nothing.

import { createHash } from 'node:crypto'
import type { ApiError, ApiErrorCode } from '../../operations/forms/index.ts'
import type { WholeResponse } from '../../operations/http/form.ts'
import { namesMediaType } from '../../operations/http/media-types.ts'
import { escapeHtml } from './html.ts'

/** Whether a client that sends this Accept header shows pages: it names HTML, and not JSON. */
export const wantsPage = (method: string | undefined, accept: string | undefined): boolean =>
  (method === 'GET' || method === 'HEAD') &&
  namesMediaType(accept, 'text/html') &&
  !namesMediaType(accept, 'application/json') &&
  !namesMediaType(accept, 'application/problem+json')

type RefusalCode = Extract<
  ApiErrorCode,
  'unauthenticated' | 'permission_denied' | 'loopback_only' | 'host_not_allowed' | 'origin_not_allowed'
>

export interface Advice {
  readonly title: string
  /** Each a paragraph, in which `quorate …` stands for a command. */
  readonly steps: readonly string[]
}

const CERTIFICATE: Advice = {
  title: 'This node asks for a certificate',
  steps: [
    'On the machine with the CA, make one for the browser, and note the password that the command prints: `quorate cert client NAME --p12`',
    'Import the file NAME.p12 in the browser as your certificate (Settings, Certificates), and open this page again.',
    'The user must exist: `quorate user add NAME --no-password`',
  ],
}

const ADVICE: { readonly [K in RefusalCode]: Advice } = {
  unauthenticated: {
    title: 'Log in first',
    steps: ['The console of this node, at /ui/, asks for a name and a password, or takes your certificate.'],
  },
  permission_denied: {
    title: 'You may not see this',
    steps: ['An administrator permits it: `quorate role grant`', 'What you may do: `quorate user show`'],
  },
  loopback_only: {
    title: 'This node serves only its own machine',
    steps: [
      'Open the page on the machine of the node, or through SSH: `ssh -L 7301:127.0.0.1:7301 HOST`',
      'Or demand certificates of all clients, or check rights: `quorate auth enable`',
    ],
  },
  host_not_allowed: {
    title: 'This node does not serve this name',
    steps: ['Open it by its address, or start it with the name: `quorate node start --allowed-host NAME`'],
  },
  origin_not_allowed: {
    title: 'A page of another site has sent you here',
    steps: ['Type the address of this page yourself.'],
  },
}

/** The page for this refusal; undefined: only programs receive it. `isOfHandshake`: TLS has refused the client. */
export function refusalPage(error: ApiError, isOfHandshake = false): WholeResponse | undefined {
  const { code } = error
  if (!(code in ADVICE)) return undefined
  const challenge = code === 'unauthenticated' ? ['WWW-Authenticate', 'Bearer realm="quorate"'] : []
  return advicePage(error, isOfHandshake ? CERTIFICATE : ADVICE[code as RefusalCode], challenge)
}

/** The page for a refusal with this advice. `headers`: those that its response has besides. */
export function advicePage(
  { code, status, message, revision }: ApiError,
  { title, steps }: Advice,
  headers: readonly string[],
): WholeResponse {
  const paragraphs = steps.map((step) => `<p>${escapeHtml(step).replaceAll(/`([^`]+)`/g, '<code>$1</code>')}`)
  const body = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>quorate: ${title}</title><style>${STYLE}</style>
<main><h1>${title}</h1>
<p class="why">${escapeHtml(message)}</p>
${paragraphs.join('\n')}
<p class="code">${status} ${code}</p></main></html>
`
  return { status, headers: [...HEADERS, ...headers], body, revision }
}

const STYLE =
  ':root{color-scheme:light dark}body{font:16px/1.55 system-ui,sans-serif;margin:0;padding:12vh 1.5em}' +
  'main{max-width:40em;margin:auto}h1{font-size:1.4em;margin:0 0 .6em}.why{font-weight:500}' +
  'code{font:.9em ui-monospace,monospace;display:block;padding:.5em .7em;margin-top:.35em;' +
  'border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:4px;overflow-x:auto}' +
  '.code{opacity:.65;font-size:.85em;margin-top:2em}'

/** Nothing but this style, which is in the page. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

const HEADERS = [
  ...['Content-Type', 'text/html; charset=utf-8', 'Content-Security-Policy', POLICY],
  ...['Referrer-Policy', 'no-referrer', 'X-Content-Type-Options', 'nosniff'],
  ...['Cache-Control', 'no-store', 'Vary', 'Accept'],
] as const
