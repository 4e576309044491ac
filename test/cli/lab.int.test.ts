// kv lab: serves the page of the lab on loopback, until it is asked to stop.

import { expect, test } from 'vitest'
import { kv, startKv } from './run-kv.ts'

test('the page is served at the printed address, until Ctrl-C', async () => {
  const running = startKv(['lab'])
  const address = await running.line()
  expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/)
  const page = await fetch(address)
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self'")
  const [, script] = /<script type="module"[^>]* src="\.\/(assets\/[^"]+)"/.exec(await page.text()) ?? []
  const answers = [script, 'other.js', 'assets/../index.html'].map((path) => fetch(`${address}${path}`))
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 404, 404])
  expect((await fetch(address, { method: 'POST', body: 'x' })).status).toBe(405)
  running.signal('SIGINT')
  expect(await running.ended).toMatchObject({ code: 0, err: '' })
})

test('a port that is in use is refused', async () => {
  const first = startKv(['lab'])
  const { port } = new URL(await first.line())
  const { code, err } = await kv(['lab', '--port', port])
  expect([code, err]).toEqual([1, expect.stringContaining(`the lab cannot use port ${port}: `)])
  first.signal('SIGTERM')
  expect(await first.ended).toMatchObject({ code: 0 })
})
