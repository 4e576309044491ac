// Servers answer requests for the newest number over HTTP. The one that leads has it in its memory.
//
// The bug: a server answers from its memory for as long as it knows of no other leader, also when it is cut off.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client, QuorateError } from '../../../../src/client/index.ts'
import { followLeader, type Leadership, runAsLeader } from '../../../../src/recipes/index.ts'
import { type Service, supervised } from './service.ts'

const SERVERS = ['s1', 's2']
const KEY = 'numbers/newest'

interface Lead {
  readonly lead: Leadership
  readonly resigned: AbortController
  newest: number
}

class Numbers {
  readonly #confirms: boolean
  /** The lead of this server, as far as it knows. */
  #led: Lead | undefined
  #isWriting = false

  constructor(confirms: boolean) {
    this.#confirms = confirms
  }

  async lead(kv: Client, lead: Leadership): Promise<void> {
    const resigned = new AbortController()
    this.#led = { lead, resigned, newest: Number((await kv.get(KEY))?.text() ?? 0) }
    const end = AbortSignal.any([lead.signal, resigned.signal])
    if (!end.aborted) await once(end, 'abort')
  }

  /** The server leads no more when another one does. */
  async follow(kv: Client, name: string, signal: AbortSignal): Promise<void> {
    for await (const leader of followLeader(kv, 'numbers', { signal }))
      if (leader?.text() !== name) this.#led = undefined
  }

  async answer(request: Request): Promise<Response> {
    const led = this.#led
    if (led === undefined) return new Response(null, { status: 503 })
    try {
      if (request.method === 'POST') return await this.#next(led)
      const { newest } = led
      if (this.#confirms) await led.lead.txn({ success: [{ get: { key: KEY } }] })
      return Response.json(newest)
    } catch (error) {
      if (!(error instanceof QuorateError)) throw error
      return new Response(error.message, { status: 503 })
    }
  }

  /** One at a time. After an unknown outcome the server resigns, so that a late write fails. */
  async #next(led: Lead): Promise<Response> {
    if (this.#isWriting) return new Response(null, { status: 503 })
    this.#isWriting = true
    try {
      await led.lead.put(KEY, String(led.newest + 1))
      led.newest += 1
      return Response.json(led.newest)
    } catch (error) {
      led.resigned.abort()
      throw error
    } finally {
      this.#isWriting = false
    }
  }
}

async function server(self: ProcessSelf, world: World, confirms: boolean): Promise<void> {
  const kv = new Client({ endpoints: world.endpoints })
  const numbers = new Numbers(confirms)
  world.connect((request) => numbers.answer(request))
  const following = supervised(self.signal, () => numbers.follow(kv, self.name, self.signal))
  while (!self.signal.aborted)
    await supervised(self.signal, () =>
      runAsLeader(kv, 'numbers', (lead) => numbers.lead(kv, lead), {
        value: self.name,
        ttlMs: 2_000,
        signal: self.signal,
        onError: () => {},
      }),
    )
  await following
}

/** The first answer with a number. Each request goes to one server after the other. */
async function request(method: 'GET' | 'POST', first: number): Promise<number> {
  for (let at = first; ; at++) {
    const answer = await fetch(`http://${SERVERS[at % SERVERS.length]}/newest`, {
      method,
      signal: AbortSignal.timeout(1_000),
    }).catch(() => undefined)
    if (answer?.ok) return Number(await answer.json())
    await sleep(50)
  }
}

async function run(world: World, confirms: boolean): Promise<void> {
  let taken = 0
  const stale: string[] = []
  for (const name of SERVERS) world.process(name, (self) => server(self, world, confirms))
  world.process('writer', async (self) => {
    for (let at = 0; !self.signal.aborted; at++) {
      taken = Math.max(taken, await request('POST', at))
      await sleep(100)
    }
  })
  for (const [at, name] of ['reader-1', 'reader-2'].entries())
    world.process(name, async (self) => {
      while (!self.signal.aborted) {
        const before = taken
        const newest = await request('GET', at)
        if (newest < before) stale.push(`${name}: ${newest} after ${before}`)
        await sleep(100)
      }
    })
  world.always('no answer is older than one before it', () => stale.length === 0)
  await world.after(6_000)
  const before = taken
  await world.eventually('numbers are taken again', () => taken > before)
}

export const numberServer: Service = {
  processes: [...SERVERS, 'writer', 'reader-1', 'reader-2'],
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
