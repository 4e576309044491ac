// GET /: the identity of the node, and the paths of its resources. JSON for programs, a page for browsers. The page
// loads nothing, runs nothing, and cannot be shown inside another page.

import { createHash } from 'node:crypto'
import { jsonResponse } from '../../operations/http/form.ts'
import { anyOfSchema, nothing, object, string } from '../../operations/http/json-schema.ts'
import { namesMediaType } from '../../operations/http/media-types.ts'
import { escapeHtml } from '../connections/html.ts'
import type { HttpResponse } from '../connections/messages.ts'
import type { DriverStatus } from '../node/observe/status.ts'

const LINKS = {
  console: '/ui/',
  keys: '/v1/kv',
  status: '/v1/status',
  cluster: '/v1/cluster',
  health: '/readyz',
  metrics: '/metrics',
  api: '/openapi.json',
} as const

export const INDEX_SCHEMA = object({
  product: { const: 'quorate' },
  version: string,
  name: string,
  cluster_id: string,
  role: { ...string, description: 'follower, pre-candidate, candidate or leader' },
  leader: anyOfSchema(string, nothing),
  leader_url: anyOfSchema(string, nothing),
  links: { type: 'object', description: 'Paths of this node, by purpose' },
})

export function indexResponse(
  status: DriverStatus,
  version: string,
  accept: string | undefined,
): HttpResponse {
  const { raft, name, clusterId } = status
  const leader = raft.configuration.members.find(({ id }) => id === raft.leader)
  const facts = {
    product: 'quorate',
    version,
    name,
    cluster_id: clusterId,
    role: raft.role,
    leader: leader?.name ?? null,
    leader_url: leader?.url ?? null,
  }
  const headers = ['Vary', 'Accept', 'Cache-Control', 'no-cache', 'X-Content-Type-Options', 'nosniff']
  if (!namesMediaType(accept, 'text/html'))
    return jsonResponse(JSON.stringify({ ...facts, links: LINKS }), headers)
  const members = raft.configuration.members
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((member) => [member.name, member.url, member.id === raft.leader ? 'leader' : ''] as const)
  return {
    status: 200,
    headers: [
      'Content-Type',
      'text/html; charset=utf-8',
      'Content-Security-Policy',
      POLICY,
      'Referrer-Policy',
      'no-referrer',
      ...headers,
    ],
    body: renderPage({ name, version, role: raft.role, clusterId, errors: status.errors }, members),
    revision: undefined,
  }
}

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color-scheme:light dark}' +
  'td,th{padding:0 1.5em 0 0;text-align:left}li{list-style:none}ul{padding:0}'

/** Nothing but this style, which is in the page. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

interface PageFacts {
  readonly name: string
  readonly version: string
  readonly role: string
  readonly clusterId: string
  readonly errors: readonly string[]
}

function renderPage(
  { name, version, role, clusterId, errors }: PageFacts,
  members: readonly (readonly [name: string, url: string, role: string])[],
): string {
  const rows = members.map(
    ([member, url, of]) => `<tr><td>${link(url, member)}<td>${escapeHtml(url)}<td>${of}`,
  )
  const links = Object.entries(LINKS).map(([what, path]) => `<li>${link(path, path)} ${what}`)
  const problems = errors.map((error) => `<li>${escapeHtml(error)}`)
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>quorate: ${escapeHtml(name)}</title><style>${STYLE}</style>
<h1>${escapeHtml(name)}</h1>
<p>quorate ${escapeHtml(version)}, ${role} of cluster ${escapeHtml(clusterId)}</p>
${problems.length === 0 ? '' : `<h2>Problems</h2><ul>${problems.join('')}</ul>`}
<h2>Members</h2><table>${rows.join('\n')}</table>
<h2>Paths</h2><ul>${links.join('\n')}</ul>
</html>
`
}

/** A member may name any URL. Only those of the web become links. */
const link = (url: string, text: string): string =>
  /^(?:https?:\/)?\//.test(url) ? `<a href="${escapeHtml(url)}">${escapeHtml(text)}</a>` : escapeHtml(text)
