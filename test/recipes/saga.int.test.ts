import { describe, expect } from 'vitest'
import { AbortedError, type Txn, UnavailableError } from '../../src/client/index.ts'
import { type Saga, type SagaStep, saga } from '../../src/recipes/saga.ts'
import { noLeader, unknownOutcome } from './client-errors.ts'
import { it, itWithAnySeed, kv, loseLeader, newClient, sleep } from './simulated-test.ts'
import { unsure } from './unsure-client.ts'
import { withCall } from './with-call.ts'

let sagas = 0

/** Revokes the owner's lease. The process that runs the saga notices that later. */
async function revokeOwner(name: string, id: string): Promise<void> {
  for await (const { lease } of kv.list({ prefix: `saga/${name}/owner/${id}/` }))
    await kv.revokeLease(lease ?? '')
}

/** Leaves a saga whose process has died before the step b. */
async function leaveBehind(name: string, id: string): Promise<void> {
  const crash = new AbortController()
  const crashing = saga(kv, name, steps('ab', [], endAt('b', crash)))
  await crashing.run(id, 1, { signal: crash.signal }).catch(() => undefined)
}

const newName = () => `s${++sagas}`

/** Steps a, b, c, … that log their runs and compensations. */
function steps(
  names: string,
  log: string[],
  fail: (what: string) => boolean = () => false,
): SagaStep<number>[] {
  const act = (what: string, result: unknown) => {
    log.push(what)
    if (fail(what)) throw new Error(`${what} cannot`)
    return result
  }
  return [...names].map((name) => ({
    name,
    run: ({ input }) => act(name, `${name}${input}`),
    compensate: () => act(`undo ${name}`, undefined),
  }))
}

describe('a saga', () => {
  it('runs its steps in order, and gives each what the steps before have returned', async () => {
    const name = newName()
    const seen: unknown[] = []
    const own = saga<number>(kv, name, [
      { name: 'one', run: ({ input, results }) => seen.push([input, { ...results }]) && { n: 1 } },
      { name: 'two', run: ({ results, token }) => seen.push([results, token]) && undefined },
    ])
    const outcome = await own.run('order/7', 5)
    expect(outcome).toEqual({
      id: 'order/7',
      status: 'completed',
      results: { one: { n: 1 }, two: null },
      failure: undefined,
    })
    expect(seen[0]).toEqual([5, {}])
    expect(seen[1]).toMatchObject([{ one: { n: 1 } }, expect.stringContaining('two')])
    expect(await own.get('order/7')).toMatchObject({ status: 'completed', steps: ['one', 'two'], input: 5 })
    expect(await own.forget('order/7')).toBe(true)
    expect(await own.forget('order/7')).toBe(false)
    expect(await kv.count({ prefix: `saga/${name}/` })).toBe(0)
  })

  it('has results with types, as JSON: all of them if it is completed', async () => {
    interface Results {
      readonly flight: { readonly seat: string }
      readonly hotel: number
    }
    const own = saga<string, Results & Record<string, unknown>>(kv, newName(), [
      { name: 'flight', run: ({ input }) => ({ seat: input }) },
      { name: 'hotel', run: async ({ results }) => results.flight?.seat.length ?? 0 },
    ])
    const outcome = await own.run('1', '7A')
    if (outcome.status !== 'completed') throw new Error(outcome.failure?.message)
    expect(outcome.results.flight.seat + outcome.results.hotel).toBe('7A2')
  })

  it('undoes the steps before one that has failed, the last one first', async () => {
    const log: string[] = []
    const own = saga(
      kv,
      newName(),
      steps('abcd', log, (what) => what === 'c'),
    )
    expect(await own.run('1', 1)).toMatchObject({
      status: 'compensated',
      failure: { step: 'c', message: 'c cannot' },
    })
    expect(log).toEqual(['a', 'b', 'c', 'undo b', 'undo a'])
    expect(await own.get('1')).toMatchObject({ steps: ['a', 'b'], compensated: ['b', 'a'] })
  })

  it('runs once for an id, whoever asks, and refuses another input', async () => {
    const name = newName()
    const log: string[] = []
    const runners = [kv, newClient(), newClient()].map((each) => saga(each, name, steps('ab', log)))
    const outcomes = await Promise.all(runners.map((each) => each.run('1', 1)))
    expect(new Set(outcomes.map((each) => JSON.stringify(each))).size).toBe(1)
    expect(log).toEqual(['a', 'b'])
    expect(await runners[0]?.run('1', 1)).toEqual(outcomes[0])
    await expect(runners[0]?.run('1', 2)).rejects.toMatchObject({ code: 'saga_exists' })
  })

  it('takes an input whose fields are in another order for the same', async () => {
    const own = saga<object>(kv, newName(), [{ name: 'a', run: () => 1 }])
    await own.run('1', { a: 1, b: { c: 2, d: 3 } })
    expect(await own.run('1', { b: { d: 3, c: 2 }, a: 1 })).toMatchObject({ status: 'completed' })
    await expect(own.run('1', { a: 1, b: { c: 2, d: 4 } })).rejects.toMatchObject({ code: 'saga_exists' })
  })

  it('does not record what a compensation returns, and says what it cannot record', async () => {
    const circle: { own?: object } = {}
    circle.own = circle
    const own = saga<unknown>(kv, newName(), [
      { name: 'a', run: () => 1, compensate: () => circle },
      { name: 'b', run: () => () => 1 },
    ])
    expect(await own.run('1', 1)).toMatchObject({
      status: 'compensated',
      failure: { step: 'b', message: 'its result: a function cannot be recorded: it is not JSON' },
    })
    await expect(own.run('2', () => 1)).rejects.toThrow('a function cannot be recorded: it is not JSON')
  })

  it('resumes others while one waits', async () => {
    const name = newName()
    for (const id of ['1', '2', '3']) {
      const crash = new AbortController()
      const crashing = saga<string>(kv, name, [
        { name: 'a', run: () => crash.abort() },
        { name: 'b', run: () => 1 },
      ])
      await expect(crashing.run(id, id, { signal: crash.signal })).rejects.toThrow(/aborted/)
    }
    const goOn = Promise.withResolvers<void>()
    const done: string[] = []
    const own = saga<string>(kv, name, [
      { name: 'a', run: () => 1 },
      {
        name: 'b',
        run: async ({ id }) => {
          if (id === '1') await goOn.promise
          done.push(id)
          if (done.length === 2) goOn.resolve()
        },
      },
    ])
    const outcomes = await own.resume({ concurrency: 2 })
    expect(done.at(-1)).toBe('1')
    expect(outcomes.map(({ id }) => id).sort()).toEqual(['1', '2', '3'])
    await expect(own.resume({ concurrency: Number.POSITIVE_INFINITY })).rejects.toThrow(/concurrency/)
  })

  it('tries a compensation again, reports it, and is resumed when it has failed too often', async () => {
    const log: string[] = []
    const problems: string[] = []
    let isBroken = true
    const fail = (what: string) => what === 'b' || (what === 'undo a' && isBroken)
    const own = saga(kv, newName(), steps('ab', log, fail), {
      attemptsMax: 3,
      retryMs: 1,
      onProblem: ({ step, attempt, error }) =>
        problems.push(`${step} ${attempt} ${(error as Error).message}`),
    })
    await expect(own.run('1', 1)).rejects.toMatchObject({ code: 'saga_stuck', written: 'unknown' })
    expect(problems).toEqual(['a 1 undo a cannot', 'a 2 undo a cannot', 'a 3 undo a cannot'])
    expect(await own.get('1')).toMatchObject({ status: 'compensating', compensated: [] })
    isBroken = false
    expect(await own.resume()).toMatchObject([{ id: '1', status: 'compensated' }])
    expect(await own.resume()).toEqual([])
  })

  it('pauses longer each time before it tries a compensation again', async () => {
    const triedAt: number[] = []
    const own = saga(
      kv,
      newName(),
      steps('ab', [], (what) => what === 'b' || what === 'undo a'),
      {
        attemptsMax: 5,
        retryMs: 20,
        onProblem: () => void triedAt.push(performance.now()),
      },
    )
    await expect(own.run('1', 1)).rejects.toMatchObject({ code: 'saga_stuck' })
    const pauses = triedAt.slice(1).map((at, before) => at - (triedAt[before] ?? 0))
    expect(pauses).toHaveLength(4)
    // A busy machine makes the pauses longer, never shorter.
    for (const [count, ms] of pauses.entries()) expect(ms).toBeGreaterThan(20 * 2 ** count - 2)
  })

  it.each(['a', 'b', 'c', 'undo b', 'undo a'])(
    'killed while it does %s, is resumed: what was recorded does not run again, the rest does, with the same token',
    async (at) => {
      const client = newClient()
      const name = newName()
      const never = new Promise<never>(() => {})
      const log: string[] = []
      const tokens = new Map<string, Set<string>>()
      const build = (isDying: boolean): SagaStep<number>[] =>
        [...'abc'].map((step) => {
          const act = (what: string, token: string) => {
            log.push(what)
            tokens.set(what, (tokens.get(what) ?? new Set()).add(token))
            if (isDying && what === at) {
              reached.resolve()
              return never
            }
            if (what === 'c') throw new Error('no')
            return undefined
          }
          return {
            name: step,
            run: ({ token }) => act(step, token),
            compensate: ({ token }) => act(`undo ${step}`, token),
          }
        })
      const reached = Promise.withResolvers<void>()
      const killed = saga(client, name, build(true), { ttlMs: 1_000 }).run('1', 1)
      killed.catch(() => undefined)
      await reached.promise
      await client.close()
      const end = new AbortController()
      const other = saga(newClient(), name, build(false))
      const resuming = other.keepResuming({ signal: end.signal })
      for await (const _ of kv.watch({ prefix: `saga/${name}/state/`, fromRevision: 1 }))
        if ((await other.get('1'))?.status === 'compensated') break
      end.abort()
      await resuming
      const all = ['a', 'b', 'c', 'undo b', 'undo a']
      const twice = all.indexOf(at)
      expect(log).toEqual([...all.slice(0, twice + 1), ...all.slice(twice)])
      expect([...tokens.values()].every((each) => each.size === 1)).toBe(true)
      expect(new Set([...tokens.values()].flatMap((each) => [...each])).size).toBe(all.length)
      expect(await other.get('1')).toMatchObject({ steps: ['a', 'b'], compensated: ['b', 'a'] })
    },
  )

  it('a process that has lost its lease records nothing, and another one does', async () => {
    const name = newName()
    const inStep = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<string>()
    const first = saga<number>(newClient(), name, [
      {
        name: 'a',
        run: () => {
          inStep.resolve()
          return goOn.promise
        },
      },
    ])
    const running = first.run('1', 1)
    running.catch(() => undefined)
    await inStep.promise
    await revokeOwner(name, '1')
    const second = saga<number>(kv, name, [{ name: 'a', run: () => 'by the second' }])
    expect(await second.resume()).toMatchObject([{ results: { a: 'by the second' } }])
    goOn.resolve('by the first')
    await expect(running).rejects.toMatchObject({ code: 'saga_taken_over', written: 'unknown' })
    expect(await second.run('1', 1)).toMatchObject({ results: { a: 'by the second' } })
  })

  it('a process whose lease was revoked records nothing, although it does not know it yet', async () => {
    const name = newName()
    const own = saga<number>(newClient(), name, [
      {
        name: 'a',
        run: async () => {
          await revokeOwner(name, '1')
        },
      },
    ])
    await expect(own.run('1', 1)).rejects.toMatchObject({ code: 'saga_taken_over', written: 'unknown' })
    expect(await own.get('1')).toMatchObject({ status: 'running', steps: [] })
  })

  it('a record that arrives late, when others have followed, changes nothing', async () => {
    const client = newClient()
    let records = 0
    let late = () => Promise.resolve()
    const store = withCall(client, 'txn', async (txn, options) => {
      // Transactions that compare a mod revision write records; the first one is that of the first step.
      const isRecord = txn.compare?.some((each) => 'target' in each && each.target === 'modRevision')
      if (isRecord !== true || ++records > 1) return client.txn(txn, options)
      late = async () => {
        await client.txn({ ...txn })
      }
      throw unknownOutcome()
    })
    const log: string[] = []
    const own: Saga<number> = saga<number>(
      store,
      newName(),
      [
        ...steps('ab', log),
        {
          name: 'late',
          run: async () => {
            await late()
            // If the process died now, the next one would have to continue from here.
            expect((await own.get('1'))?.steps).toEqual(['a', 'b'])
          },
        },
        ...steps('cd', log),
      ],
      { retryMs: 1 },
    )
    expect(await own.run('1', 1)).toMatchObject({ status: 'completed' })
    expect(log).toEqual([...'abcd'])
    expect((await own.get('1'))?.steps).toEqual(['a', 'b', 'late', 'c', 'd'])
  })

  itWithAnySeed(
    'records each step once, whatever answers are lost and although the leader dies',
    async () => {
      const client = unsure(newClient({ timeoutMs: 20_000 }), 0.3)
      const log: string[] = []
      const failing = steps('abcdef', log, (what) => what === 'f')
      const crash = {
        name: 'crash',
        run: loseLeader,
      }
      const own = saga(client.kv, newName(), [...failing.slice(0, 3), crash, ...failing.slice(3)], {
        retryMs: 5,
      })
      const outcome = await own.run('1', 1)
      expect(outcome).toMatchObject({ status: 'compensated', failure: { step: 'f' } })
      expect(log).toEqual([...'abcdef', ...['undo e', 'undo d', 'undo c', 'undo b', 'undo a']])
    },
  )

  it('stops between two steps when its signal fires, and is resumed', async () => {
    const log: string[] = []
    const end = new AbortController()
    const name = newName()
    const stopping = saga(kv, name, steps('abc', log, endAt('b', end)))
    await expect(stopping.run('1', 1, { signal: end.signal })).rejects.toMatchObject({ name: 'AbortError' })
    expect(await stopping.get('1')).toMatchObject({ status: 'running', steps: ['a'] })
    expect(await saga(kv, name, steps('abc', log)).resume()).toMatchObject([{ status: 'completed' }])
    expect(log).toEqual(['a', 'b', 'b', 'c'])
  })

  it('tries one that could not be ended again after a minute, not whenever something changes', async () => {
    const name = newName()
    await leaveBehind(name, '1')
    const end = new AbortController()
    const errors: unknown[] = []
    const onError = (error: unknown) => errors.push(error)
    const resuming = saga(kv, name, steps('xb', [])).keepResuming({ signal: end.signal, onError })
    while (errors.length === 0) await sleep(100)
    for (let n = 0; n < 4; n++) {
      const key = `saga/${name}/owner/1/${n}`
      await kv.put(key, '')
      await kv.delete(key)
    }
    // The watch delivers the next one after all of these.
    await leaveBehind(name, '2')
    while (errors.length === 1) await sleep(100)
    expect(errors).toMatchObject(Array(2).fill({ code: 'saga_steps_differ' }))
    for (const minute of [1, 2, 3]) {
      await sleep(61_000)
      expect(errors).toHaveLength(2 + 2 * minute)
    }
    end.abort()
    await resuming
  })

  it('takes over what is left behind while one that was taken over before still runs', async () => {
    const name = newName()
    const goOn = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const other = Promise.withResolvers<void>()
    const own = saga<number>(kv, name, [
      { name: 'a', run: () => 1 },
      {
        name: 'b',
        run: async ({ id }) => {
          if (id !== 'long') return other.resolve()
          begun.resolve()
          await goOn.promise
        },
      },
    ])
    await leaveBehind(name, 'long')
    const end = new AbortController()
    const resuming = own.keepResuming({ signal: end.signal, concurrency: 2 })
    await begun.promise
    await leaveBehind(name, 'other')
    await other.promise
    goOn.resolve()
    while ((await own.get('long'))?.status !== 'completed') await sleep(100)
    end.abort()
    await resuming
    expect(await own.run('other', 1)).toMatchObject({ status: 'completed' })
  })

  it('looks only at the one that a process has left while it stands by', async () => {
    const name = newName()
    const goOn = Promise.withResolvers<void>()
    const long = saga<number>(kv, name, [{ name: 'a', run: () => goOn.promise }])
    const running = Array.from({ length: 20 }, (_, n) => long.run(`long ${n}`, 1))
    while ((await kv.count({ prefix: `saga/${name}/owner/` })) < 20) await sleep(100)
    const asked: string[] = []
    let store = withCall(kv, 'txn', (txn, options) => {
      asked.push('txn')
      return kv.txn(txn, options)
    })
    store = withCall(store, 'list', (options) => {
      asked.push('list')
      return kv.list(options)
    })
    const end = new AbortController()
    const standing = saga(store, name, steps('ab', []))
    const resuming = standing.keepResuming({ signal: end.signal })
    await leaveBehind(name, 'first')
    while ((await standing.get('first'))?.status !== 'completed') await sleep(100)
    const before = asked.length
    const short = saga(kv, name, steps('ab', []))
    for (let n = 0; n < 5; n++) await short.run(`short ${n}`, 1)
    // The watch delivers this one after all of these.
    await leaveBehind(name, 'last')
    while ((await standing.get('last'))?.status !== 'completed') await sleep(100)
    end.abort()
    await resuming
    // These calls take over the last saga.
    expect(asked.length - before, asked.slice(before).join(' ')).toBeLessThan(12)
    expect(asked.slice(before)).not.toContain('list')
    goOn.resolve()
    await Promise.all(running)
  })

  it('goes on at once with one that it has taken over and lost again', async () => {
    const name = newName()
    await leaveBehind(name, '1')
    const errors: unknown[] = []
    const end = new AbortController()
    let runs = 0
    const own = saga<number>(kv, name, [
      { name: 'a', run: () => 1 },
      {
        name: 'b',
        run: async ({ signal }) => {
          runs += 1
          if (runs > 1) return
          await revokeOwner(name, '1')
          if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve))
        },
      },
    ])
    const resuming = own.keepResuming({ signal: end.signal, onError: (error) => errors.push(error) })
    while ((await own.get('1'))?.status !== 'completed') await sleep(100)
    end.abort()
    await resuming
    expect(errors).toMatchObject([{ code: 'saga_taken_over' }])
    expect(runs).toBe(2)
  })

  it('looks at all again when history was compacted before it could hear of one', async () => {
    const name = newName()
    let looks = 0
    const store = withCall(kv, 'list', async function* (options) {
      yield* kv.list(options)
      looks += 1
      // Owners and records have been listed, and the watch has not begun.
      if (looks !== 2) return
      await leaveBehind(name, '1')
      await kv.compact((await kv.put('x', '')).revision)
    })
    const end = new AbortController()
    const errors: unknown[] = []
    const own = saga(store, name, steps('ab', []))
    const resuming = own.keepResuming({ signal: end.signal, onError: (error) => errors.push(error) })
    while ((await own.get('1'))?.status !== 'completed') await sleep(100)
    end.abort()
    await resuming
    expect(errors).toEqual([])
  })

  it('has not begun as long as no process owns it: so none is there that nobody hears of', async () => {
    const name = newName()
    const dying = withCall(kv, 'session', () => Promise.reject(new Error('dead')))
    await expect(saga(dying, name, steps('ab', [])).run('1', 1)).rejects.toThrow('dead')
    expect(await saga(kv, name, steps('ab', [])).get('1')).toBeUndefined()
  })

  /** A saga whose only step reports that it has begun, and returns when the test lets it. */
  function held(name: string, log: string[]) {
    const [goOn, begun] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const run = async () => {
      log.push('a')
      begun.resolve()
      await goOn.promise
    }
    return { one: saga<number>(kv, name, [{ name: 'a', run }]), begun, goOn }
  }

  it('runs once for two that run it, also if the first one forgets it at once', async () => {
    const name = newName()
    const log: string[] = []
    const { one, begun, goOn } = held(name, log)
    const first = one.run('1', 1).then(() => one.forget('1'))
    await begun.promise
    let gets = 0
    const late = withCall(kv, 'get', async (...args) => {
      gets += 1
      if (gets > 1) await first
      return kv.get(...args)
    })
    const second = expect(saga(late, name, steps('a', log)).run('1', 1)).rejects.toMatchObject({
      code: 'not_found',
    })
    await expect.poll(() => kv.count({ prefix: `saga/${name}/owner/` })).toBe(2)
    goOn.resolve()
    await second
    expect(log).toEqual(['a'])
  })

  it('does not say that nothing was written if it has begun, and is aborted in a step', async () => {
    const name = newName()
    const end = new AbortController()
    const own = saga(kv, name, steps('ab', [], endAt('a', end)))
    const error = await own.run('1', 1, { signal: end.signal }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AbortedError)
    expect(error).toMatchObject({ written: 'unknown' })
    expect(await kv.count({ prefix: `saga/${name}/owner/` })).toBe(0)
    expect(await saga(kv, name, steps('ab', [])).resume()).toMatchObject([{ status: 'completed' }])
  })

  it('begins after all if its lease has ended before it could begin', async () => {
    const name = newName()
    const log: string[] = []
    let joinings = 0
    const late = withCall(kv, 'txn', async (txn, options) => {
      if (isJoining(txn)) joinings += 1
      if (isJoining(txn) && joinings === 1) {
        const lease = txn.success?.flatMap((each) => ('put' in each ? [each.put.lease ?? ''] : []))[0]
        await kv.revokeLease(lease ?? '')
      }
      return kv.txn(txn, options)
    })
    expect(await saga(late, name, steps('a', log)).run('1', 1)).toMatchObject({ status: 'completed' })
    expect(joinings).toBe(2)
    expect(log).toEqual(['a'])
  })

  it('begins also if it is unknown whether it was recorded, and then no node answers', async () => {
    const log: string[] = []
    let eaten = 0
    const store = withCall(kv, 'txn', async (txn, options) => {
      if (!isRecording(txn) || eaten === 2) return kv.txn(txn, options)
      eaten += 1
      if (eaten === 2) throw noLeader()
      await kv.txn(txn, options)
      throw unknownOutcome()
    })
    const own = saga(store, newName(), steps('ab', log))
    expect(await own.run('1', 1)).toMatchObject({ status: 'completed' })
    expect(log).toEqual(['a', 'b'])
  })

  it('undoes a step as well whose result is too large to be recorded', async () => {
    const log: string[] = []
    const [first, second] = steps('ab', log)
    if (first === undefined || second === undefined) throw new Error('there are two')
    const large = {
      ...second,
      run: () => {
        log.push('b')
        return 'x'.repeat(2 ** 21)
      },
    }
    const own = saga(kv, newName(), [first, large])
    const outcome = await own.run('1', 1)
    expect(outcome).toMatchObject({ status: 'compensated', failure: { step: 'b' }, results: { b: null } })
    expect(outcome.failure?.message).toMatch(/^its result: more than /)
    expect(log).toEqual(['a', 'b', 'undo b', 'undo a'])
  })

  it('is ended elsewhere and forgotten while others are resumed: that is no error', async () => {
    const name = newName()
    for (const id of ['1', '2']) {
      const crash = new AbortController()
      const crashing = saga(kv, name, steps('ab', [], endAt('b', crash)))
      await crashing.run(id, 1, { signal: crash.signal }).catch(() => undefined)
    }
    const other = saga(kv, name, steps('ab', []))
    /** Before it continues with the first saga that it has listed, another process ends and forgets both. */
    const late = () => {
      let isFirst = true
      return withCall(kv, 'session', async (options) => {
        if (isFirst) {
          isFirst = false
          await other.resume()
          for (const id of ['1', '2']) await other.forget(id)
        }
        return kv.session(options)
      })
    }
    expect(await saga(late(), name, steps('ab', [])).resume({ concurrency: 1 })).toEqual([])

    const crash = new AbortController()
    const crashing = saga(kv, name, steps('ab', [], endAt('b', crash)))
    await crashing.run('1', 1, { signal: crash.signal }).catch(() => undefined)
    const end = new AbortController()
    const errors: unknown[] = []
    const watching = Promise.withResolvers<void>()
    const store = withCall(late(), 'watch', (options) => {
      watching.resolve()
      return kv.watch(options)
    })
    const onError = (error: unknown) => errors.push(error)
    const resuming = saga(store, name, steps('ab', [])).keepResuming({ signal: end.signal, onError })
    await watching.promise
    while ((await other.get('1')) !== undefined) await sleep(100)
    end.abort()
    await resuming
    expect(errors).toEqual([])
  })

  it('records its input, and what steps have returned, whatever later steps do to them', async () => {
    const name = newName()
    const seen: unknown[] = []
    const change = ({ input, results }: { input: { list: string[] }; results: object }) => {
      seen.push(structuredClone([input, results]))
      input.list.push('changed')
      for (const each of Object.values(results)) each.n += 1
    }
    const own = saga<{ list: string[] }>(kv, name, [
      { name: 'a', run: (context) => change(context) ?? { n: 1 }, compensate: change },
      { name: 'b', run: (context) => change(context) ?? { n: 1 }, compensate: change },
      {
        name: 'c',
        run: (context) => {
          change(context)
          throw new Error('c cannot')
        },
      },
    ])
    const results = { a: { n: 1 }, b: { n: 1 } }
    const input = { list: ['x'] }
    expect(await own.run('1', input)).toMatchObject({ status: 'compensated', results })
    expect(seen).toEqual([{}, { a: { n: 1 } }, results, results, results].map((each) => [input, each]))
    expect(await own.get('1')).toMatchObject({ input })
    expect(await own.run('1', input)).toMatchObject({ status: 'compensated', results })
  })

  it('is not forgotten because one with its id, which has ended, is forgotten twice', async () => {
    const name = newName()
    const own = saga(kv, name, steps('ab', []))
    await own.run('1', 1)
    const late = withCall(kv, 'txn', async (txn, options) => {
      expect(await own.forget('1')).toBe(true)
      const end = new AbortController()
      const again = saga(kv, name, steps('ab', [], endAt('b', end)))
      await again.run('1', 1, { signal: end.signal }).catch(() => undefined)
      return kv.txn(txn, options)
    })
    expect(await saga(late, name, steps('ab', [])).forget('1')).toBe(false)
    expect(await own.get('1')).toMatchObject({ status: 'running', steps: ['a'] })
  })

  it('undoes its steps whatever the one that failed has thrown', async () => {
    for (const thrown of [new Error('x'.repeat(2 ** 21)), Object.create(null)]) {
      const log: string[] = []
      const [first, second] = steps('ab', log)
      if (first === undefined || second === undefined) throw new Error('there are two')
      const failing = {
        ...second,
        run: () => {
          throw thrown
        },
      }
      const outcome = await saga(kv, newName(), [first, failing]).run('1', 1)
      expect(outcome).toMatchObject({ status: 'compensated', failure: { step: 'b' } })
      expect(outcome.failure?.message.length).toBeLessThan(2_000)
      expect(log).toEqual(['a', 'undo a'])
    }
  })

  it('ends with its signal also while nothing can be recorded', async () => {
    const end = new AbortController()
    const full = withCall(kv, 'txn', async (txn, options) => {
      if (!isRecording(txn)) return kv.txn(txn, options)
      end.abort()
      throw new UnavailableError('no room', { code: 'storage_full', written: 'no', status: 507 })
    })
    const own = saga(full, newName(), steps('ab', []), { retryMs: 1 })
    await expect(own.run('1', 1, { signal: end.signal })).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('refuses steps that are not those it has begun with, and steps that are none', async () => {
    const name = newName()
    const log: string[] = []
    const end = new AbortController()
    const stopping = saga(kv, name, steps('ab', log, endAt('b', end)))
    await stopping.run('1', 1, { signal: end.signal }).catch(() => undefined)
    await expect(saga(kv, name, steps('xb', log)).resume()).rejects.toMatchObject({
      code: 'saga_steps_differ',
    })
    expect(() => saga(kv, name, [])).toThrow(/steps must be a list of steps that is not empty/)
    expect(() => saga(kv, name, steps('aa', log))).toThrow(/a is there twice/)
    expect(() => saga(kv, name, [{ name: 'a' } as never])).toThrow(/steps\[0\]: run must be a function/)
    expect(() => saga(kv, name, steps('a', log), { ttlMs: 10 })).toThrow(/ttlMs must be .* from 1,000 on/)
  })
})

/** Whether it adds a process to the queue of owners of a saga. */
const isJoining = ({ success = [] }: Txn): boolean =>
  success.some((each) => 'put' in each && Buffer.from(each.put.key ?? '').includes('/owner/'))

/** Whether it writes the record of a saga. */
const isRecording = ({ success = [] }: Txn): boolean =>
  success.some((each) =>
    'txn' in each
      ? isRecording(each.txn)
      : 'put' in each && Buffer.from(each.put.key ?? '').includes('/state/'),
  )

/** For steps of which none fails: the signal fires in this one. */
const endAt = (step: string, end: AbortController) => (what: string) => {
  if (what === step) end.abort()
  return false
}
