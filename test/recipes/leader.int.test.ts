// Leader election and barriers in virtual time.

import { EventEmitter, getEventListeners, once } from 'node:events'
import { describe, expect, vi } from 'vitest'
import { type Client, QuorateError } from '../../src/client/index.ts'
import {
  BarrierNotPassedError,
  barrier,
  campaign,
  followLeader,
  type Leadership,
  LockLostError,
  leaderOf,
  runAsLeader,
} from '../../src/recipes/index.ts'
import { noLeader, unknownOutcome } from './client-errors.ts'
import { kv, loseLeader, newClient, simulatedTests } from './simulated-test.ts'
import { unsure } from './unsure-client.ts'
import { withCall } from './with-call.ts'

const { it, itWithAnySeed } = simulatedTests({ emptied: ['election/', 'barrier/'] })

const keysUnder = (prefix: string) => () => kv.count({ prefix })

/** Resolves when the signal fires. */
const fired = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

describe('runAsLeader', () => {
  it('runs one body at a time, in the order of the candidates, and returns what it returns', async () => {
    const order: number[] = []
    let inside = 0
    const lead = async ({ token, put }: Leadership) => {
      inside += 1
      expect(inside).toBe(1)
      order.push(token)
      await put('led', String(token))
      inside -= 1
      return token
    }
    const results = await Promise.all([1, 2, 3, 4].map(() => runAsLeader(kv, 'order', lead)))
    expect(order).toEqual(results.toSorted((a, b) => a - b))
    expect((await kv.get('led'))?.text()).toBe(String(order.at(-1)))
  })

  it('throws what its body throws, and leads no more then', async () => {
    const failing = runAsLeader(kv, 'throws', () => {
      throw new RangeError('mine')
    })
    await expect(failing).rejects.toThrow('mine')
    expect(await keysUnder('election/throws/')()).toBe(0)
  })

  it('tells a body that has lost the lead, waits for its end, and runs it again when it leads again', async () => {
    const tokens: number[] = []
    const errors: unknown[] = []
    const result = await runAsLeader(
      kv,
      'again',
      async ({ token, key, signal, put, throwIfLost }) => {
        tokens.push(token)
        if (tokens.length === 3) return 'done'
        await kv.delete(key)
        await fired(signal)
        expect(signal.reason).toBeInstanceOf(LockLostError)
        expect(() => throwIfLost()).toThrow(LockLostError)
        await expect(put('again', 'x')).rejects.toThrow(LockLostError)
        if (tokens.length === 2) throw new Error('after it was lost')
        return 'too late'
      },
      { onError: (error) => errors.push(error) },
    )
    expect(result).toBe('done')
    expect(tokens).toHaveLength(3)
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
    const lost = { code: 'lock_lost' }
    expect(errors).toMatchObject([lost, lost, { message: 'after it was lost' }])
    expect(await kv.get('again')).toBeUndefined()
  })

  it('reports the loss while the body runs on, and copies the name of the election', async () => {
    const name = Buffer.from('outlived')
    const errors = new EventEmitter<{ lost: [unknown] }>()
    const reported = once(errors, 'lost')
    let runs = 0
    const leading = runAsLeader(
      kv,
      name,
      async ({ key }) => {
        runs += 1
        if (runs === 2) return Buffer.from(key).toString()
        name.fill('x')
        await kv.delete(key)
        // It pays no attention to its signal.
        await reported
        return 'too late'
      },
      { onError: (error) => errors.emit('lost', error) },
    )
    expect(await reported).toMatchObject([{ code: 'lock_lost' }])
    expect(await leading).toMatch(/^election\/outlived\//)
  })

  it('does not count what a body has done for longer than its lease, when the process was too busy to tell it', async () => {
    const results = ['returned late', new Error('thrown late'), 'in time']
    const errors: unknown[] = []
    let isLate = false
    const busy = withCall(kv, 'session', async (options) => {
      isLate = false
      // The clock has advanced, but the timer that fires the signal has not run.
      return Object.defineProperty(await kv.session(options), 'leftMs', { get: () => (isLate ? 0 : 1_000) })
    })
    const body = ({ signal }: Leadership) => {
      expect(signal.aborted).toBe(false)
      const result = results.shift()
      isLate = results.length > 0
      if (result instanceof Error) throw result
      return result
    }
    expect(await runAsLeader(busy, 'busy', body, { onError: (error) => errors.push(error) })).toBe('in time')
    expect(errors).toMatchObject([{ code: 'lock_lost' }, { message: 'thrown late' }])
  })

  it('gives up the lead within its time for a call', async () => {
    const closings: unknown[] = []
    const noting = withCall(kv, 'session', async (options) => {
      const session = await kv.session(options)
      const close = session.close.bind(session)
      session.close = (options) => {
        closings.push(options)
        return close(options)
      }
      return session
    })
    await runAsLeader(noting, 'call', () => 'led', { timeoutMs: 20_000 })
    expect(closings).toEqual([{ timeoutMs: 20_000 }])
  })

  it('gives its body nothing with which it could release the lead, or that stands still', async () => {
    const given = await runAsLeader(kv, 'given', (leadership) => Object.keys(leadership))
    expect(given.toSorted()).toEqual(['guard', 'key', 'put', 'signal', 'throwIfLost', 'token', 'txn'])
  })

  it('ends with its signal: a waiting candidate at once, a leader when its body has ended', async () => {
    const end = new AbortController()
    let begin = () => {}
    const leads = new Promise<void>((resolve) => {
      begin = resolve
    })
    const leading = runAsLeader(
      kv,
      'ends',
      async ({ signal }) => {
        begin()
        await fired(signal)
        return 'cleaned up'
      },
      { signal: end.signal },
    )
    await leads
    const waiting = runAsLeader(kv, 'ends', () => 'never', { signal: end.signal })
    await expect.poll(keysUnder('election/ends/')).toBe(2)
    end.abort()
    await Promise.all([
      expect(leading).resolves.toBe('cleaned up'),
      expect(waiting).rejects.toMatchObject({ name: 'AbortError' }),
    ])
    expect(await keysUnder('election/ends/')()).toBe(0)
  })

  it('does not begin its body when its signal has fired while the last answer came', async () => {
    const end = new AbortController()
    const fires = withCall(kv, 'txn', async (...args) => {
      const result = await kv.txn(...args)
      end.abort()
      return result
    })
    const bodies: string[] = []
    const running = runAsLeader(fires, 'fires', () => bodies.push('ran'), { signal: end.signal })
    await expect(running).rejects.toMatchObject({ name: 'AbortError', code: 'aborted', written: 'no' })
    const taking = campaign(fires, 'fires', { signal: end.signal })
    await expect(taking).rejects.toMatchObject({ name: 'AbortError' })
    expect([bodies, await keysUnder('election/fires/')()]).toEqual([[], 0])
  })

  it('goes on when the cluster cannot be asked, and says so', async () => {
    const errors: unknown[] = []
    const failures = [
      noLeader(),
      // The error of a load balancer.
      new QuorateError('no such answer', { code: 'unexpected_answer', written: 'no', status: 502 }),
      new QuorateError('no such answer', { code: 'unexpected_answer', written: 'no', status: 429 }),
      new QuorateError('no room', { code: 'storage_full', written: 'no', status: 507 }),
    ]
    const faulty = withCall(kv, 'session', (options) => {
      const failure = failures.pop()
      return failure === undefined ? kv.session(options) : Promise.reject(failure)
    })
    const onError = (error: unknown) => errors.push(error)
    const { signal } = new AbortController()
    expect(await runAsLeader(faulty, 'faulty', () => 'led', { onError, signal })).toBe('led')
    expect(errors).toHaveLength(4)
    // A candidate of a long-lived process may retry for weeks.
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('says who leads, and each new leader', async () => {
    expect(await leaderOf(kv, 'who')).toBeUndefined()
    const seen: (string | undefined)[] = []
    const end = new AbortController()
    const following = (async () => {
      for await (const leader of followLeader(kv, 'who', { signal: end.signal })) seen.push(leader?.text())
    })()
    await expect.poll(() => seen).toEqual([undefined])
    const goes: (() => void)[] = []
    const leading = ['a', 'b'].map(async (value, at) => {
      await expect.poll(keysUnder('election/who/')).toBe(at)
      await runAsLeader(kv, 'who', () => new Promise<void>((resolve) => goes.push(resolve)), { value })
    })
    await expect.poll(keysUnder('election/who/')).toBe(2)
    expect((await leaderOf(kv, 'who'))?.text()).toBe('a')
    await expect.poll(() => seen).toEqual([undefined, 'a'])
    goes.shift()?.()
    await expect.poll(() => seen).toEqual([undefined, 'a', 'b'])
    await expect.poll(() => goes.length).toBe(1)
    goes.shift()?.()
    await Promise.all(leading)
    await expect.poll(() => seen).toEqual([undefined, 'a', 'b', undefined])
    end.abort()
    await expect(following).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('leaves out and reports keys that no candidate has written', async () => {
    const warned = vi.spyOn(process, 'emitWarning')
    await kv.put('election/imported/7', 'of an import')
    expect(await leaderOf(kv, 'imported')).toBeUndefined()
    const led = await campaign(kv, 'imported', { value: 'one', waitMs: 0 })
    expect(await leaderOf(kv, 'imported')).toMatchObject({ createRevision: led.token })
    expect(warned.mock.calls).toEqual([[expect.stringContaining('"election/imported/7"'), 'QuorateWarning']])
    await led.release()
    await kv.delete('election/imported/7')
  })

  it('finds the leader also among candidates whose values together are more than an answer may have', async () => {
    const end = new AbortController()
    const value = (n: number) => Buffer.alloc(1024 * 1024, n)
    const first = await campaign(kv, 'large', { value: value(0) })
    const others = [1, 2, 3, 4].map((n) => campaign(kv, 'large', { value: value(n), signal: end.signal }))
    await expect.poll(keysUnder('election/large/')).toBe(5)
    const leader = await leaderOf(kv, 'large')
    expect(leader?.createRevision).toBe(first.token)
    expect(Buffer.from(leader?.value ?? []).equals(value(0))).toBe(true)
    end.abort()
    await Promise.allSettled(others)
    await first.release()
  })

  it('is followed through faults that pass', async () => {
    let failures = 1
    const faulty = withCall(kv, 'txn', (txn, options) => {
      if (failures-- > 0) throw noLeader()
      return kv.txn(txn, options)
    })
    // It says so when it cannot begin.
    await expect(followLeader(faulty, 'passing').next()).rejects.toMatchObject({ code: 'no_leader' })
    const following = followLeader(faulty, 'passing')
    expect(await following.next()).toEqual({ done: false, value: undefined })
    const next = following.next()
    failures = 1
    const lead = await campaign(kv, 'passing', { value: 'a' })
    expect((await next).value?.text()).toBe('a')
    await following.return()
    await lead.release()
  })

  it('goes with its leader also when the leader has changed its value', async () => {
    const lead = await campaign(kv, 'renamed', { value: 'before' })
    await lead.put(lead.key, 'after')
    const leader = await leaderOf(kv, 'renamed')
    expect([leader?.text(), leader?.createRevision]).toEqual(['after', lead.token])
    await kv.revokeLease(leader?.lease ?? '')
    expect(await leaderOf(kv, 'renamed')).toBeUndefined()
    const next = await campaign(kv, 'renamed', { waitMs: 0 })
    await next.put(Buffer.from(next.key).toString(), 'after')
    await next.release()
    expect(await leaderOf(kv, 'renamed')).toBeUndefined()
  })

  it('keeps the value of its leader when an earlier attempt to join is delivered late', async () => {
    let deliver: (() => Promise<unknown>) | undefined
    const late = withCall(kv, 'txn', (txn, options) => {
      if (deliver !== undefined) return kv.txn(txn, options)
      deliver = () => kv.txn(txn)
      return Promise.reject(unknownOutcome())
    })
    const lead = await campaign(late, 'late', { value: 'before' })
    await lead.put(lead.key, 'after')
    await deliver?.()
    expect((await leaderOf(kv, 'late'))?.text()).toBe('after')
    await lead.release()
  })

  it('says what is wrong with an argument before anything is sent', async () => {
    const notBody = 'x' as never
    await expect(runAsLeader(kv, 'x', notBody)).rejects.toThrow('runAsLeader: body must be a function')
    await expect(runAsLeader(kv, 'x', () => 1, { ttlMs: 5 })).rejects.toThrow('ttlMs must be')
    await expect(runAsLeader(kv, '', () => 1)).rejects.toThrow('name must not be empty')
    await expect(leaderOf(kv, '')).rejects.toThrow('leaderOf: name must not be empty')
    const misspelt = { waitms: 1 } as object
    await expect(barrier(kv, 'x').wait(misspelt)).rejects.toThrow('did you mean waitMs?')
  })

  itWithAnySeed(
    'never runs two bodies that write, whatever answers are lost and although the leader of the cluster dies',
    async () => {
      const ttlMs = 1_000 + Math.floor(Math.random() * 1_000)
      const clients = Array.from({ length: 3 + Math.floor(Math.random() * 3) }, () =>
        unsure(newClient({ timeoutMs: 10_000 }), 0.02 + Math.random() * 0.1),
      )
      const begun = (await kv.put('terms/begun', '')).revision
      let terms = 0
      const candidate = async ({ kv: own }: { readonly kv: Client }) => {
        for (let n = 0; n < 4; n++) {
          const body = async ({ token, key, put }: Leadership) => {
            terms += 1
            await put('terms/log', `${token} begins`)
            if (Math.random() < 0.3) await kv.delete(key)
            await put('terms/log', `${token} ends`)
          }
          await runAsLeader(own, 'terms', body, { ttlMs, onError: () => undefined }).catch(() => undefined)
        }
      }
      const running = Promise.all(clients.map(candidate))
      await expect.poll(() => terms).toBeGreaterThan(2)
      loseLeader()
      await running
      const end = (await kv.put('terms/end', '')).revision
      let last = 0
      let writes = 0
      for await (const { revision, events } of kv.watch({ prefix: 'terms/', fromRevision: begun + 1 })) {
        for (const event of events) {
          if (event.key !== 'terms/log' || event.type !== 'put') continue
          const token = Number.parseInt(event.kv.text(), 10)
          expect(token).toBeGreaterThanOrEqual(last)
          last = token
          writes += 1
        }
        if (revision >= end) break
      }
      expect(writes).toBeGreaterThan(3)
      for (const client of clients) client.isOn = false
      await expect.poll(keysUnder('election/terms/')).toBe(0)
    },
  )
})

describe('a barrier', () => {
  it('holds whoever waits until it is lowered', async () => {
    const gate = barrier(kv, 'gate')
    await gate.wait()
    expect(await gate.raise()).toBe(true)
    expect(await gate.raise()).toBe(false)
    expect(await gate.isRaised()).toBe(true)
    await expect(gate.wait({ waitMs: 50 })).rejects.toThrow(BarrierNotPassedError)
    await expect(gate.wait({ waitMs: 0 })).rejects.toMatchObject({ code: 'barrier_not_passed' })
    let passed = 0
    const waiting = [1, 2, 3].map(async () => {
      await gate.wait()
      passed += 1
    })
    await kv.put('gate', 'x')
    expect(passed).toBe(0)
    expect(await gate.lower()).toBe(true)
    await Promise.all(waiting)
    expect(await gate.lower()).toBe(false)
    expect(await gate.isRaised()).toBe(false)
  })

  it('that was raised with a lease goes with it', async () => {
    const gate = barrier(kv, 'leased')
    const session = await kv.session()
    await gate.raise({ lease: session.lease })
    const waiting = gate.wait()
    await session.close()
    await waiting
    const end = new AbortController()
    await gate.raise()
    const aborted = gate.wait({ signal: end.signal })
    end.abort()
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
    await gate.lower()
  })
})
