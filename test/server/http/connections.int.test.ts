// More connections than a node can hold: it serves those with requests, and never runs out of files.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { atRest, Client, get, holding, onNodeHttp, put, statusOf, until } from './raw-client.ts'
import { serve } from './served.ts'

describe('at the limit', () => {
  test('the connection that has been idle for longest makes room, on whichever lane', async () => {
    const served = await serve({ limits: { connectionsMax: 4 } })
    for (let time = 0; time < 2; time++) {
      const idle = [new Client(served.port), await onNodeHttp(served), new Client(served.port)]
      for (const client of idle) {
        await client.send(get('a'))
        expect(statusOf(await client.answer())).toBe(404)
      }
      const { release } = holding(served.node)
      const busy = await new Client(served.port).send(put('b', '1'))
      const { value: go } = await release.next()
      served.node.hold = undefined
      const fresh: Client[] = []
      for (const longest of idle) {
        const client = await new Client(served.port).send(get('a'))
        expect(statusOf(await client.answer())).toBe(404)
        expect(await longest.rest()).toBe('')
        expect(served.http.inspect().connections).toBe(4)
        fresh.push(client)
      }
      go()
      expect(statusOf(await busy.answer())).toBe(200)
      for (const client of [...fresh, busy]) client.leave()
      await until(served, () => served.http.inspect().connections <= 1)
    }
    expect(served.http.inspect().refusedTotal).toBe(0)
  })

  test('one that finds only busy ones is told so, and served when they are done', async () => {
    const served = await serve({ limits: { connectionsMax: 2 } })
    const { http, port, metrics } = served
    for (let time = 1; time <= 2; time++) {
      const { release } = holding(served.node)
      const busy = [await new Client(port).send(put('a', '1')), await new Client(port).send(put('b', '1'))]
      const going = [(await release.next()).value, (await release.next()).value]
      const refused = await new Client(port).send(get('a'))
      const answer = await refused.answer()
      expect(statusOf(answer)).toBe(429)
      expect(answer).toMatch(/Retry-After: 1\r\n.*Connection: close\r\n.*"code":"overloaded"/s)
      expect(await refused.rest()).toBe('')
      // Beyond a few refused connections, the others are closed without an answer.
      const crowd = Array.from({ length: 50 }, () => new Client(port))
      const said = await Promise.all(crowd.map((client) => client.answer()))
      expect(said.every((one) => one === undefined || statusOf(one) === 429)).toBe(true)
      expect(http.inspect()).toMatchObject({ connections: 2, requests: 2, refusedTotal: 51 * time })
      for (const client of crowd) client.leave()
      served.node.hold = undefined
      for (const go of going) go()
      for (const client of busy) expect(statusOf(await client.answer())).toBe(200)
      const fresh = await new Client(port).send(get('a'))
      expect(statusOf(await fresh.answer())).toBe(200)
      for (const client of [...busy, fresh]) client.leave()
      await atRest(served)
    }
    expect(await metrics.text()).toContain('quorate_http_connections_refused_total 102\n')
  })

  test('one in the middle of a request is not idle', async () => {
    const served = await serve({ limits: { connectionsMax: 3 } })
    const value = 'x'.repeat(100_000)
    const inBody = await new Client(served.port).send(put('a', value).slice(0, -1))
    await until(served, () => served.http.inspect().bodyBytes > 0)
    const inHead = await onNodeHttp(served)
    await inHead.send(get('b').slice(0, -1))
    for (let time = 0; time < 2; time++) {
      const idle = await onNodeHttp(served)
      const fresh = await new Client(served.port).send(get('b'))
      expect(statusOf(await fresh.answer())).toBe(404)
      expect(await idle.rest()).toBe('')
      fresh.leave()
      await until(served, () => served.http.inspect().connections <= 3)
    }
    await inBody.send('x')
    await inHead.send('\n')
    expect([await inBody.answer(), await inHead.answer()].map(statusOf)).toEqual([200, 404])
    await atRest(served, 2)
  })
})

describe.runIf(process.platform === 'linux')('a process with few files', () => {
  const KV = join(import.meta.dirname, '../../../bin/kv.js')

  async function started(files: number) {
    const dir = mkdtempSync(join(tmpdir(), 'quorate-files-'))
    const addresses = '--listen 127.0.0.1:0 --peer-listen 127.0.0.1:0'
    const start = `node start --name n1 --data n1 ${addresses} --bootstrap`
    const child = spawn('sh', ['-c', `ulimit -n ${files}; exec "${process.execPath}" "${KV}" ${start}`], {
      cwd: dir,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const ended = once(child, 'exit').then(([code]) => code as number | null)
    onTestFinished(async () => {
      child.kill('SIGKILL')
      await ended
      rmSync(dir, { recursive: true, force: true })
    })
    let log = ''
    const serving = new Promise<number>((resolve) => {
      child.stderr.on('data', (chunk) => {
        log += chunk
        const port = /"url":"http:\/\/127.0.0.1:(\d+)".*"msg":"serving"/.exec(log)?.[1]
        if (port !== undefined) resolve(Number(port))
      })
    })
    return { child, ended, serving, log: () => log }
  }

  /** On a new connection: one that is kept is idle at times. */
  const asked = (port: number, method: string, path: string, body?: Uint8Array) =>
    new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const outgoing = request({ port, method, path, agent: false, host: '127.0.0.1' }, (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('end', () => resolve({ status: response.statusCode, text }))
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })

  test('lives on under more idle connections than it may have files, and serves', async () => {
    const { child, ended, serving } = await started(160)
    const port = await serving
    for (let time = 0; time < 2; time++) {
      const idle = Array.from({ length: 400 }, () => connect(port, '127.0.0.1').on('error', () => {}))
      await Promise.all(idle.map((socket) => Promise.race([once(socket, 'connect'), once(socket, 'close')])))
      // LevelDB opens tables and logs all the while.
      for (let i = 0; i < 12; i++) {
        const value = Buffer.alloc(1 << 20, i)
        expect((await asked(port, 'PUT', `/v1/kv/${time}-${i}?timeout=60s`, value)).status).toBe(200)
      }
      expect((await asked(port, 'GET', '/v1/kv?count_only')).text).toContain(`"count":${12 * (time + 1)},`)
      expect(readdirSync(`/proc/${child.pid}/fd`).length).toBeLessThan(160)
      for (const socket of idle) socket.destroy()
    }
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  })

  test('does not start with too few', async () => {
    const { ended, log } = await started(64)
    expect(await ended).toBe(1)
    expect(log()).toContain('ulimit -n')
  })
})

test('a node that stops answers those who are connected, and are not accepted yet', async () => {
  const { port, http, node, ask } = await serve()
  // All of it is loaded then.
  await ask('GET', '/livez')
  // One is accepted in each turn of the event loop, and all of them connect in the first few.
  const clients = Array.from({ length: 8 }, () => new Client(port))
  await Promise.all(clients.map((client, i) => client.send(put(`k${i}`, '1'))))
  const closed = http.close({ graceful: true })
  for (const client of clients) expect(statusOf(await client.answer())).toBe(200)
  await closed
  expect(node.revision).toBe(1 + clients.length)
  expect(await new Client(port).rest()).toBe('')
})
