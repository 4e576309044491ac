// GET /: what the server is and where things are, for programs and for people.

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { serve } from './served.ts'

const BROWSER = { Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }

test('a program gets the facts, and paths that exist', async () => {
  const { ask, node } = await serve()
  const { status, json, headers } = await ask('GET', '/')
  expect({ status, type: headers['content-type'] }).toEqual({ status: 200, type: 'application/json' })
  expect(json).toMatchObject({
    product: 'quorate',
    version: '1.2.3',
    name: node.name,
    cluster_id: node.clusterId,
  })
  const { leader } = (await ask('GET', '/v1/status')).json
  expect(json.leader).toBe(leader)
  for (const path of Object.values<string>(json.links)) expect((await ask('GET', path)).status).toBe(200)
})

test('a browser gets a page that loads nothing, runs nothing and has no frame', async () => {
  const { ask } = await serve()
  const { text, headers } = await ask('GET', '/', { headers: BROWSER })
  expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', vary: 'Accept' })
  expect(text).not.toMatch(/<(?:script|img|link|iframe)|\son[a-z]+=|url\(/)
  const [, style = ''] = /<style>(.*)<\/style>/s.exec(text) ?? []
  const hash = createHash('sha256').update(style).digest('base64')
  const policy = String(headers['content-security-policy'])
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).toContain(`style-src 'sha256-${hash}'`)
  expect(policy).not.toContain('unsafe')
})

test('names and addresses of members are text on the page', async () => {
  const { ask, node } = await serve()
  const status = node.status()
  const [member] = status.raft.configuration.members
  if (member === undefined) throw new Error('the node has no members')
  const evil = { ...member, url: 'javascript:"<script>alert(1)</script>"' }
  const raft = { ...status.raft, configuration: { ...status.raft.configuration, members: [evil] } }
  node.status = () => ({ ...status, raft })
  const { text } = await ask('GET', '/', { headers: BROWSER })
  expect(text).toContain('&lt;script&gt;')
  expect(text).not.toMatch(/<script|href="javascript/)
})

// The first one is read by the raw reader, the second one by node:http.
test.each(['/v1/kv/a', '/v1/kv', '/v1/watch?key=a', '/livez'])(
  'a page of another site gets no answer from %s, whichever reader reads it',
  async (path) => {
    const { ask, node } = await serve()
    for (const site of ['cross-site', 'same-site']) {
      const { status, json } = await ask('GET', path, { headers: { 'Sec-Fetch-Site': site } })
      expect({ status, code: json.code }).toEqual({ status: 403, code: 'origin_not_allowed' })
    }
    expect(node.asked).toEqual([])
  },
)
