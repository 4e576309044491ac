// Locks, read-write locks and semaphores in virtual time.

import { describe, expect } from 'vitest'
import { type Client, QuorateError, type Session } from '../../src/client/index.ts'
import {
  type HeldLock,
  type LockClient,
  LockLostError,
  LockNotTakenError,
  lock,
  rwLock,
  semaphore,
} from '../../src/recipes/index.ts'
import { noLeader, unknownOutcome } from './client-errors.ts'
import { kv, loseLeader, newClient, simulatedTests, sleep, suspend } from './simulated-test.ts'
import { unsure } from './unsure-client.ts'
import { withCall } from './with-call.ts'

const { it, itWithAnySeed } = simulatedTests({ emptied: ['lock/', 'rwlock/', 'semaphore/'] })

const keysUnder = (prefix: string) => () => kv.count({ prefix })

/** A client with some calls replaced. */
const through = (changed: Partial<LockClient>): LockClient => ({
  session: (options) => kv.session(options),
  watch: (options) => kv.watch(options),
  txn: (txn, options) => kv.txn(txn, options),
  ...changed,
})

describe('a lock', () => {
  it('is given to clients in the order of their keys, with rising tokens', async () => {
    const order: number[] = []
    const first = await lock(kv, 'a/b')
    const waiting = [1, 2, 3].map(async () => {
      const held = await lock(kv, 'a/b')
      order.push(held.token)
      await held.put('resource', String(held.token))
      await held.release()
    })
    await expect.poll(keysUnder('lock/a%2Fb/')).toBe(4)
    expect(order).toEqual([])
    await first.release()
    await Promise.all(waiting)
    expect(order).toHaveLength(3)
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(order[0]).toBeGreaterThan(first.token)
  })

  it('waits for the holder when the one before it in the line gives up', async () => {
    const held = await lock(kv, 'line')
    const end = new AbortController()
    const between = lock(kv, 'line', { signal: end.signal })
    await expect.poll(keysUnder('lock/line/')).toBe(2)
    let last: HeldLock | undefined
    const watched: unknown[] = []
    const watching = withCall(kv, 'watch', (options) => {
      watched.push(options.key)
      return kv.watch(options)
    })
    const waiting = lock(watching, 'line').then((taken) => {
      last = taken
    })
    await expect.poll(() => watched.length).toBe(1)
    end.abort()
    await expect(between).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
    expect(await keysUnder('lock/line/')()).toBe(2)
    // The third client has checked again.
    await expect.poll(() => watched.length).toBe(2)
    expect(watched[1]).toEqual(new Uint8Array(held.key))
    await held.put('line', 'x')
    expect(last).toBeUndefined()
    await held.release()
    await waiting
    await last?.release()
  })

  it('that is not taken within the time to wait leaves no key behind, and is taken when it is free', async () => {
    const held = await lock(kv, 'busy')
    for (const waitMs of [0, 200]) {
      const failure = await lock(kv, 'busy', { waitMs }).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(LockNotTakenError)
      expect(failure).toMatchObject({ code: 'lock_not_taken', written: 'no' })
      expect(await keysUnder('lock/busy/')()).toBe(1)
    }
    await held.release()
    const again = await lock(kv, 'busy', { waitMs: 0 })
    const { revision } = await kv.txn({})
    await expect(lock(kv, 'busy', { waitMs: 0 })).rejects.toBeInstanceOf(LockNotTakenError)
    expect(await kv.txn({}), 'a try in vain writes nothing').toMatchObject({ revision })
    expect(again.token).toBeGreaterThan(held.token)
    await again.release()
  })

  it('is looked at once more when the time to wait is over: the watch may be at a node that has stopped', async () => {
    const held = await lock(kv, 'deaf')
    let released: Promise<unknown> | undefined
    const deaf = withCall(kv, 'watch', ({ signal }) => {
      released ??= held.release()
      return kv.watch({ prefix: 'nothing/', signal })
    })
    await (await lock(deaf, 'deaf', { waitMs: 1_000 })).release()
    await released
  })

  it('of which the key was deleted is lost at once: its signal fires, and it writes nothing', async () => {
    const held = await lock(kv, 'lost')
    const fired = new Promise((resolve) => held.signal.addEventListener('abort', resolve, { once: true }))
    await kv.delete(held.key)
    await fired
    await expect(held.put('guarded', 'x')).rejects.toThrow(LockLostError)
    expect(held.signal.reason).toMatchObject({ code: 'lock_lost', written: 'no' })
    expect(() => held.throwIfLost()).toThrow(LockLostError)
    expect(await kv.get('guarded')).toBeUndefined()
    const next = await lock(kv, 'lost', { waitMs: 0 })
    await expect(held.txn({ success: [{ put: { key: 'guarded', value: 'x' } }] })).rejects.toThrow(
      LockLostError,
    )
    await next.txn({ success: [{ put: { key: 'guarded', value: 'y' } }] })
    expect((await kv.get('guarded'))?.text()).toBe('y')
    await held.release()
    await next.release()
  })

  it('that a write finds lost is lost for all that it is given to, whatever its watch tells', async () => {
    const deaf = through({ watch: ({ signal }) => kv.watch({ key: 'nothing', signal }) })
    await using held = await lock(deaf, 'deaf')
    await kv.delete(held.key)
    await expect(held.put('guarded', 'x')).rejects.toThrow(LockLostError)
    expect([held.signal.aborted, held.leftMs]).toEqual([true, 0])
    expect(() => held.throwIfLost()).toThrow('its key was deleted')
  })

  it('whose key was overwritten without its lease is lost to its holder, and free for others', async () => {
    const held = await lock(kv, 'overwritten')
    await kv.put(held.key, 'of an import')
    const guarded = await kv.txn({
      compare: [held.guard()],
      success: [{ put: { key: 'guarded', value: '1' } }],
    })
    expect(guarded.succeeded).toBe(false)
    await expect(held.put('guarded', '2')).rejects.toBeInstanceOf(LockLostError)
    expect(held.signal.aborted).toBe(true)
    const next = await lock(kv, 'overwritten', { waitMs: 0 })
    expect(next.token).toBeGreaterThan(held.token)
    await Promise.all([held.release(), next.release(), kv.delete(held.key)])
  })

  it('of which the lease was revoked fires its signal, and a former holder knows that it has released it', async () => {
    const held = await lock(kv, 'revoked')
    const fired = new Promise((resolve) => held.signal.addEventListener('abort', resolve, { once: true }))
    const lease = (await kv.get(held.key))?.lease ?? ''
    await kv.revokeLease(lease)
    await fired
    expect(held.signal.reason).toBeInstanceOf(LockLostError)
    await held.release()
    const released = await lock(kv, 'revoked')
    await released.release()
    await expect(released.put('guarded', 'x')).rejects.toThrow('it was released')
  })

  it('runs a transaction with its own comparisons, and tells which branch was taken', async () => {
    const held = await lock(kv, 'txn')
    const set = {
      compare: [{ key: 'txn/n', exists: false }],
      success: [{ put: { key: 'txn/n', value: '1' } }],
    }
    expect(await held.txn(set)).toMatchObject({ succeeded: true, results: [{ put: { version: 1 } }] })
    expect(await held.txn(set)).toMatchObject({ succeeded: false, results: [] })
    const { revision } = await kv.txn({ compare: [held.guard()], success: [{ delete: { key: 'txn/n' } }] })
    expect(revision).toBeGreaterThan(held.token)
    expect(await kv.get('txn/n')).toBeUndefined()
    await held.release()
  })

  it('of which the creation has an unknown outcome is the one that it finds', async () => {
    let eaten = 0
    const eatsFirst = through({
      txn: async (txn, options) => {
        const result = await kv.txn(txn, options)
        if (eaten++ > 0) return result
        throw unknownOutcome()
      },
    })
    const held = await lock(eatsFirst, 'unknown', { waitMs: 10_000 })
    expect(eaten).toBeGreaterThan(1)
    expect(await keysUnder('lock/unknown/')()).toBe(1)
    expect((await kv.get(held.key))?.createRevision).toBe(held.token)
    await held.release()
  })

  it('has a new position if its key was overwritten before it knew that it had joined', async () => {
    let overwritten: string | Uint8Array = ''
    let holder: HeldLock | undefined
    const eatsFirst = through({
      txn: async (txn, options) => {
        const result = await kv.txn(txn, options)
        if (holder !== undefined) return result
        const [join] = txn.success ?? []
        if (join !== undefined && 'put' in join) overwritten = join.put.key
        await kv.put(overwritten, 'of an import')
        // The overwritten key belongs to no client, so the next one holds the lock.
        holder = await lock(kv, 'joins', { waitMs: 0 })
        throw unknownOutcome()
      },
    })
    const waiting = lock(eatsFirst, 'joins')
    await expect.poll(keysUnder('lock/joins/')).toBe(3)
    await holder?.release()
    const held = await waiting
    expect(held.token).toBeGreaterThan(holder?.token ?? 0)
    await Promise.all([held.release(), kv.delete(overwritten)])
  })

  it('fails with the error of the cluster, not as taken, when the cluster cannot be asked in time', async () => {
    const unavailable = noLeader()
    const noSession = through({ session: () => Promise.reject(unavailable) })
    await expect(lock(noSession, 'away', { waitMs: 10 })).rejects.toBe(unavailable)
    const noTxn = through({ txn: () => Promise.reject(unavailable) })
    await expect(lock(noTxn, 'away', { waitMs: 10 })).rejects.toBe(unavailable)
  })

  it('is waited for through faults that pass, also when the lease has ended meanwhile', async () => {
    const held = await lock(kv, 'faults')
    let txns = 0
    let leases: string[] = []
    const faulty = through({
      session: async (options) => {
        const session = await kv.session(options)
        leases = [...leases, session.lease]
        return session
      },
      txn: async (txn, options) => {
        txns += 1
        if (txns % 2 === 0) throw noLeader()
        return kv.txn(txn, options)
      },
    })
    const waiting = lock(faulty, 'faults')
    await expect.poll(keysUnder('lock/faults/')).toBe(2)
    await kv.revokeLease(leases[0] ?? '')
    // It joins the queue again, with another lease, when it has learnt that the first lease has ended.
    const again = async () => leases.length === 2 && (await keysUnder('lock/faults/')()) === 2
    await expect.poll(again).toBe(true)
    await held.release()
    const taken = await waiting
    expect(taken.token).toBeGreaterThan(held.token)
    await taken.release()
  })

  it('is taken with another lease when the first one has ended before its key was created', async () => {
    const leases: string[] = []
    const revoking = through({
      session: async (options) => {
        const session = await kv.session(options)
        leases.push(session.lease)
        if (leases.length === 1) await kv.revokeLease(session.lease)
        return session
      },
    })
    const held = await lock(revoking, 'revoked before')
    expect(leases).toHaveLength(2)
    expect((await kv.get(held.key))?.lease).toBe(leases[1])
    await held.release()
  })

  it('is not taken with a lease that has ended while the process stood still', async () => {
    const leases: Session[] = []
    const stopped = through({
      session: async (options) => {
        const session = await kv.session(options)
        leases.push(session)
        return session
      },
      txn: async (txn, options) => {
        const result = await kv.txn(txn, options)
        if (leases.length === 1) suspend(1_100)
        return result
      },
    })
    const held = await lock(stopped, 'stopped', { ttlMs: 1_000 })
    expect(leases).toHaveLength(2)
    expect((await kv.get(held.key))?.lease).toBe(leases[1]?.lease)
    await held.release()
  })

  it('is waited for by each client with an eye on the one before it only', async () => {
    const held = await lock(kv, 'eyes')
    const line = [held.key]
    let last: number = held.token
    const waiting: Promise<HeldLock>[] = []
    for (let n = 2; n <= 7; n++) {
      const watched = Promise.withResolvers<unknown>()
      const watching = through({
        watch: (options) => {
          watched.resolve(options.key)
          return kv.watch(options)
        },
      })
      waiting.push(lock(watching, 'eyes'))
      expect(await watched.promise).toEqual(new Uint8Array(line.at(-1) ?? []))
      for await (const { keyBytes, createRevision } of kv.list({ prefix: 'lock/eyes/', keysOnly: true }))
        if (createRevision > last) [line[n - 1], last] = [keyBytes, createRevision]
    }
    await held.release()
    for (const taking of waiting) await (await taking).release()
  })

  it('of which the holder changes the value is looked at once for each change', async () => {
    let reads = 0
    const counting = through({
      txn: (txn, options) => {
        reads += 1
        return kv.txn(txn, options)
      },
    })
    const held = await lock(counting, 'valued')
    for (const value of ['1', '2', '3']) {
      reads = 0
      await held.put(held.key, value)
      await sleep(2_000)
      // The put, and one look at what it has changed.
      expect(reads).toBe(2)
    }
    expect(held.signal.aborted).toBe(false)
    await held.release()
  })

  it('has as many clients in its line as a transaction may read keys, and refuses one more', async () => {
    const store = newClient({ timeoutMs: 30_000 })
    await store.changeSettings({ range_keys_max: 4 })
    const first = await lock(store, 'full')
    const waiting: Promise<HeldLock>[] = []
    for (let n = 2; n <= 4; n++) {
      const watching = Promise.withResolvers<void>()
      const client = withCall(store, 'watch', (options) => {
        watching.resolve()
        return store.watch(options)
      })
      const taking = lock(client, 'full')
      await Promise.race([watching.promise, taking])
      waiting.push(taking)
    }
    await expect(lock(store, 'full')).rejects.toMatchObject({ code: 'range_too_large', written: 'no' })
    await first.release()
    for (const taking of waiting) await (await taking).release()
  })

  it('is waited for while something else answers in the place of the cluster, with a pause each time', async () => {
    const held = await lock(kv, 'balanced')
    const answer = () =>
      new QuorateError('no such answer', { code: 'unexpected_answer', written: 'no', status: 502 })
    let watches = 0
    let txns = 0
    const balanced = withCall(
      withCall(kv, 'watch', (options) => {
        watches += 1
        if (watches > 2) return kv.watch(options)
        throw answer()
      }),
      'txn',
      (txn, options) => {
        txns += 1
        return txns === 2 ? Promise.reject(answer()) : kv.txn(txn, options)
      },
    )
    const waiting = lock(balanced, 'balanced')
    await expect.poll(() => watches).toBe(3)
    // One to join, two to check, of which one was rejected, and one to check after each watch.
    expect(txns).toBe(5)
    await held.release()
    await (await waiting).release()
  })

  it('is not waited for while the store is full', async () => {
    const full = withCall(kv, 'txn', () =>
      Promise.reject(new QuorateError('no room', { code: 'storage_full', written: 'no', status: 507 })),
    )
    await expect(lock(full, 'no-room')).rejects.toMatchObject({ code: 'storage_full', written: 'no' })
  })

  it('is not waited for after the signal has fired, or the client was closed', async () => {
    const held = await lock(kv, 'ends')
    const own = newClient()
    const ofOwn = lock(own, 'ends', { ttlMs: 1_000 })
    await expect.poll(keysUnder('lock/ends/')).toBe(2)
    await Promise.all([expect(ofOwn).rejects.toMatchObject({ code: 'closed' }), own.close()])
    await expect(lock(kv, 'ends', { signal: AbortSignal.abort('enough') })).rejects.toMatchObject({
      name: 'AbortError',
    })
    await held.release()
    await expect.poll(keysUnder('lock/ends/')).toBe(0)
  })

  it('says what is wrong with an argument before anything is sent', async () => {
    await expect(lock(kv, '')).rejects.toThrow('lock: name must not be empty')
    const misspelt = { waitMS: 5 } as object
    await expect(lock(kv, 'x', misspelt)).rejects.toThrow('did you mean waitMs?')
    await expect(lock(kv, 'x', { waitMs: -1 })).rejects.toThrow('waitMs must be')
    await expect(lock(kv, 'x', { ttlMs: 500 })).rejects.toThrow('a number of milliseconds from 1,000 on')
    expect(() => semaphore(kv, 'x', 0)).toThrow('permits must be a whole number from 1 on')
    await expect(rwLock(kv, 'x').read({ ttlMs: Number.NaN })).rejects.toThrow('rwLock.read: ttlMs')
    const held = await lock(kv, 'x')
    await expect(held.release({ timeoutMs: -1 })).rejects.toThrow('release: timeoutMs must be')
    expect(held.signal.aborted).toBe(false)
    await held.release()
    expect(await keysUnder('lock/x/')()).toBe(0)
  })
})

describe('a read-write lock', () => {
  it('has many readers or one writer, and readers wait for a writer who came before', async () => {
    const rw = rwLock(kv, 'rw')
    const readers = [await rw.read(), await rw.read({ waitMs: 0 })]
    await expect(rw.write({ waitMs: 0 })).rejects.toThrow(LockNotTakenError)
    const order: string[] = []
    const writing = rw.write().then((held) => {
      order.push('writer')
      return held
    })
    await expect.poll(keysUnder('rwlock/rw/w/')).toBe(1)
    const late = [rw.read(), rw.read()].map((taking) =>
      taking.then((held) => {
        order.push('reader')
        return held
      }),
    )
    await expect.poll(keysUnder('rwlock/rw/r/')).toBe(4)
    await readers[0]?.release()
    expect(order).toEqual([])
    await readers[1]?.release()
    const writer = await writing
    expect(order).toEqual(['writer'])
    await writer.put('rw', 'written')
    await writer.release()
    for (const held of await Promise.all(late)) {
      expect(held.token).toBeGreaterThan(writer.token)
      await held.release()
    }
  })
})

describe('a semaphore', () => {
  it('has as many holders as permits, and never more', async () => {
    const permits = 3
    const sem = semaphore(kv, 'sem', permits)
    let inside = 0
    let most = 0
    const tokens = new Set<number>()
    const work = async () => {
      const held = await sem.acquire()
      tokens.add(held.token)
      inside += 1
      most = Math.max(most, inside)
      await held.put(`sem/${held.token}`, 'x')
      await expect.poll(() => most).toBeGreaterThanOrEqual(permits)
      inside -= 1
      await held.release()
    }
    await Promise.all(Array.from({ length: 12 }, work))
    expect(most).toBe(permits)
    expect(tokens.size).toBe(12)
  })

  it('is not served while its holders stay, whoever else gives up', async () => {
    const sem = semaphore(kv, 'full', 2)
    const [a, b] = [await sem.acquire(), await sem.acquire()]
    await expect(sem.acquire({ waitMs: 100 })).rejects.toThrow('2 others hold it or wait before')
    let isServed = false
    const end = new AbortController()
    const first = sem.acquire({ signal: end.signal })
    await expect.poll(keysUnder('semaphore/full/')).toBe(3)
    const second = sem.acquire().then((held) => {
      isServed = true
      return held
    })
    await expect.poll(keysUnder('semaphore/full/')).toBe(4)
    end.abort()
    await expect(first).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
    await a.put('full', 'x')
    expect(isServed).toBe(false)
    await b.release()
    await (await second).release()
    await a.release()
  })
})

describe('under faults', () => {
  itWithAnySeed(
    'writes rise by token and never overlap, whatever answers are lost and although leaders die',
    async () => {
      const share = 0.02 + Math.random() * 0.15
      const ttlMs = 1_000 + Math.floor(Math.random() * 1_000)
      const clients = Array.from({ length: 4 + Math.floor(Math.random() * 3) }, () =>
        unsure(newClient({ timeoutMs: 10_000 }), share),
      )
      const begun = (await kv.put('faults/begun', '')).revision
      let taken = 0
      const work = async ({ kv: own }: { readonly kv: Client }) => {
        for (let n = 0; n < 6; n++) {
          const held = await lock(own, 'shared', { ttlMs }).catch(() => undefined)
          if (held === undefined) continue
          taken += 1
          try {
            // Read, then write, both while the lock is held: no other holder can write in between.
            const { results } = await held.txn({ success: [{ get: { key: 'faults/log' } }] })
            const log = results[0]?.get?.kvs?.[0]?.text() ?? ''
            await held.put('faults/log', `${log}${held.token} `)
            if (Math.random() < 0.2) await kv.delete(held.key)
            else await held.release()
            if (Math.random() < 0.2) await held.put('faults/log', 'written by a former holder')
          } catch {
            // The outcome of its write is unknown, or it has lost the lock.
          } finally {
            await held.release()
          }
        }
      }
      const working = Promise.all(clients.map(work))
      for (let n = 0; n < 2; n++) {
        await expect.poll(() => taken).toBeGreaterThan(n * 3)
        loseLeader()
      }
      await working
      for (const client of clients) client.isOn = false
      let last = ''
      const end = (await kv.put('faults/end', '')).revision
      for await (const { revision, events } of kv.watch({ prefix: 'faults/', fromRevision: begun + 1 })) {
        for (const event of events) {
          if (event.key !== 'faults/log' || event.type !== 'put') continue
          const now = event.kv.text()
          // Each write has the value of the one before, and a token that is not lower.
          expect(now.startsWith(last), `${last} → ${now}`).toBe(true)
          last = now
        }
        if (revision >= end) break
      }
      const tokens = last.trim().split(' ').map(Number)
      expect(tokens.length).toBeGreaterThan(3)
      expect(tokens).toEqual(tokens.toSorted((a, b) => a - b))
      expect(new Set(tokens).size).toBe(tokens.length)
      expect(clients.reduce((sum, { eaten }) => sum + eaten, 0)).toBeGreaterThan(0)
      // Keys of clients that have given up are deleted with their leases.
      await expect.poll(keysUnder('lock/shared/')).toBe(0)
    },
  )
})
