// Records of sagas: what cannot be written, what is refused for a while, and what no saga has written.

import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  type Client,
  OutcomeUnknownError,
  QuorateError,
  type Txn,
  UnavailableError,
} from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { saga } from '../../src/recipes/saga.ts'
import { withCall } from './with-call.ts'

const MIB = 2 ** 20

let cluster: EmbeddedCluster
let kv: Client
let sagas = 0
beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  kv = cluster.client({ timeoutMs: 30_000 })
})
afterAll(() => cluster.close())

const newName = () => `r${++sagas}`
const one = { name: 'a', run: () => 1 }

/** Its process dies in its second step. */
async function leaveBehind(name: string, id: string): Promise<void> {
  const crash = new AbortController()
  const crashing = saga(kv, name, [one, { name: 'b', run: () => crash.abort() }])
  await crashing.run(id, 1, { signal: crash.signal }).catch(() => undefined)
}

const isRecord = ({ compare = [] }: Txn): boolean =>
  compare.some((each) => 'target' in each && each.target === 'mod_revision')

/** A client whose records are refused, as long as `isRefused` says so. */
const refusing = (isRefused: () => boolean, code: string, status: number): Client =>
  withCall(kv, 'txn', async (txn, options) => {
    if (!isRecord(txn) || !isRefused()) return kv.txn(txn, options)
    throw new UnavailableError('not now', { code, status, written: 'no' })
  })

/** Calls `fits` with sizes nearer and nearer to the largest one that fits. */
async function approach(fits: (bytes: number) => Promise<boolean>): Promise<void> {
  let [low, high] = [MIB - 20_000, MIB]
  expect([await fits(low), await fits(high)]).toEqual([true, false])
  while (high - low > 1) {
    const bytes = Math.floor((low + high) / 2)
    if (await fits(bytes)) low = bytes
    else high = bytes
  }
}

describe('a record that nearly fills a value', () => {
  it.each([
    ['a short name and message', 'x', 'no'],
    ['a long message', 'x', '"'.repeat(3_000)],
    ['long names', '"'.repeat(500), 'no'],
  ])('has room for its end: %s', async (_, prefix, message) => {
    await approach(async (bytes) => {
      const log: string[] = []
      const step = (name: string, run: () => unknown) => ({
        name: prefix + name,
        run: () => log.push(name) && run(),
        compensate: () => void log.push(`undo ${name}`),
      })
      const fails = () => {
        throw new Error(message)
      }
      const own = saga<number>(kv, newName(), [
        step('a', () => 1),
        step('large', () => 'x'.repeat(bytes)),
        step('fails', fails),
      ])
      const { status, failure } = await own.run('1', 1)
      const hasFit = log.includes('fails')
      expect([status, failure?.step]).toEqual(['compensated', prefix + (hasFit ? 'fails' : 'large')])
      expect(log).toEqual(['a', 'large', ...(hasFit ? ['fails'] : []), 'undo large', 'undo a'])
      return hasFit
    })
  })

  it('has the whole message of an error only if there is room for the compensations beside it', async () => {
    const message = 'm'.repeat(900)
    const fails = () => {
      throw new Error(message)
    }
    await approach(async (bytes) => {
      const log: string[] = []
      const own = saga<number>(kv, newName(), [
        { name: 'large', run: () => 'x'.repeat(bytes), compensate: () => void log.push('undo large') },
        { name: 'fails', run: fails },
      ])
      const { status, failure } = await own.run('1', 1)
      expect([status, log]).toEqual(['compensated', ['undo large']])
      return failure?.message === message
    })
  })

  it('runs no step if there is no room for its end', async () => {
    const log: string[] = []
    const act = (what: string) => () => void log.push(what)
    const own = saga<string>(kv, newName(), [{ name: 'a', run: act('a'), compensate: act('undo a') }])
    await approach(async (bytes) => {
      const ended = await own.run(`${bytes}`, 'x'.repeat(bytes)).catch((error: unknown) => error)
      const ran = log.splice(0)
      if (ended instanceof QuorateError) {
        expect([ended.code, ended.written, ran]).toEqual(['value_too_large', 'no', []])
        return false
      }
      // Its result may not fit, and then it is undone.
      expect(['a', 'a,undo a']).toContain(ran.join())
      return true
    })
  })
})

describe('a record that is refused', () => {
  it.each([
    ['no_leader', 503],
    ['overloaded', 429],
  ])(
    'with %s is written later by the same process, and its step does not run again',
    async (code, status) => {
      const name = newName()
      await leaveBehind(name, '1')
      let refusals = 0
      let runs = 0
      const end = new AbortController()
      const store = refusing(() => refusals++ < 5, code, status)
      const steps = [one, { name: 'b', run: () => void runs++ }]
      const processes = Array.from({ length: 5 }, () =>
        saga(store, name, steps, { retryMs: 20 }).keepResuming({ signal: end.signal }),
      )
      await expect.poll(async () => (await saga(kv, name, steps).get('1'))?.status).toBe('completed')
      end.abort()
      await Promise.all(processes)
      expect(runs).toBe(1)
    },
  )

  it('by a proxy as too large is one of a step that has failed', async () => {
    const log: string[] = []
    const step = (name: string) => ({
      name,
      run: () => void log.push(name),
      compensate: () => void log.push(`undo ${name}`),
    })
    let records = 0
    const store = withCall(kv, 'txn', (txn, options) => {
      if (!isRecord(txn) || ++records !== 2) return kv.txn(txn, options)
      throw new QuorateError('<html>', { code: 'unexpected_answer', written: 'unknown', status: 413 })
    })
    const own = saga(store, newName(), ['a', 'b'].map(step), { retryMs: 20 })
    expect(await own.run('1', 1)).toMatchObject({ status: 'compensated', failure: { step: 'b' } })
    expect(log).toEqual(['a', 'b', 'undo b', 'undo a'])
  })

  // undefined: a page is sent as if it was the answer.
  it.each([403, undefined])(
    'by a proxy with %s for ever ends the run, and the saga is free for others',
    async (status) => {
      const name = newName()
      const store = withCall(kv, 'txn', (txn, options) => {
        if (!isRecord(txn)) return kv.txn(txn, options)
        throw new QuorateError('<html>', { code: 'unexpected_answer', written: 'unknown', status })
      })
      const refused = saga(store, name, [one], { retryMs: 20 }).run('1', 1)
      await expect(refused).rejects.toMatchObject({ code: 'unexpected_answer', written: 'unknown' })
      expect(await saga(kv, name, [one]).resume()).toMatchObject([{ id: '1', status: 'completed' }])
    },
  )

  it.each([408, 502, 520, 524])(
    'by a load balancer, whose nodes have not answered, with %s is written again',
    async (status) => {
      let records = 0
      const store = withCall(kv, 'txn', async (txn, options) => {
        const result = await kv.txn(txn, options)
        if (!isRecord(txn) || ++records > 1) return result
        throw new QuorateError('<html>', { code: 'unexpected_answer', written: 'unknown', status })
      })
      let runs = 0
      const steps = [{ name: 'a', run: () => void runs++ }]
      const ended = await saga(store, newName(), steps, { retryMs: 20 }).run('1', 1)
      expect([ended.status, runs]).toEqual(['completed', 1])
    },
  )

  it('is written soon, however long the pauses of compensations are', async () => {
    let refusals = 0
    const store = refusing(() => refusals++ < 1, 'no_leader', 503)
    const own = saga(store, newName(), [one], { retryMs: 100 * 60_000 })
    // With that pause it would take longer than the test may.
    expect(await own.run('1', 1)).toMatchObject({ status: 'completed' })
    expect(refusals).toBeGreaterThan(1)
  })
})

describe('an error after the saga was begun by the same call', () => {
  it.each(['not_found', 'saga_exists', 'saga_steps_differ'])(
    '%s says that it is unknown whether something was written',
    async (code) => {
      const name = newName()
      let reads = 0
      const store = withCall(kv, 'get', async (...args) => {
        reads += 1
        if (reads === 2) await goOnElsewhere()
        return kv.get(...args)
      })
      /** This process stands still until its lease has ended. */
      async function goOnElsewhere(): Promise<void> {
        for await (const { lease } of kv.list({ prefix: `saga/${name}/owner/` }))
          await kv.revokeLease(lease ?? '')
        const differs = code === 'saga_steps_differ'
        const end = new AbortController()
        const last = { name: 'z', run: () => differs && end.abort() }
        const other = saga(kv, name, [{ name: differs ? 'new' : 'a', run: () => 1 }, last])
        await other.resume({ signal: end.signal }).catch(() => undefined)
        if (!differs) await other.forget('1')
        if (code === 'saga_exists') await other.run('1', 2)
      }
      await expect(saga(store, name, [one]).run('1', 1)).rejects.toMatchObject({ code, written: 'unknown' })
    },
  )
})

describe('an error after the same call has recorded a step', () => {
  const refusal = { code: 'host_not_allowed', status: 403, written: 'no' } as const

  it.each([
    ['', false],
    [', also if it did not learn that', true],
  ])('says that it is unknown whether something was written%s', async (_, isLost) => {
    const name = newName()
    await leaveBehind(name, '1')
    let records = 0
    const steps = [one, { name: 'b', run: () => 2 }, { name: 'c', run: () => 3 }]
    const store = withCall(kv, 'txn', async (txn, options) => {
      if (!isRecord(txn)) return kv.txn(txn, options)
      if (records++ > 0) throw new QuorateError('not from there', refusal)
      const done = await kv.txn(txn, options)
      if (isLost) throw new OutcomeUnknownError('lost', { code: 'outcome_unknown', written: 'unknown' })
      return done
    })
    const own = saga(store, name, steps, { retryMs: 20 })
    await expect(own.run('1', 1)).rejects.toMatchObject({ written: 'unknown' })
    expect(await own.get('1')).toMatchObject({ status: 'running', steps: ['a', 'b'] })
    // This one has done nothing.
    await expect(own.run('1', 1)).rejects.toMatchObject({ code: 'host_not_allowed', written: 'no' })
  })
})

describe('a process that stands by', () => {
  it('tells its onError nothing more after that has thrown', async () => {
    const name = newName()
    await Promise.all(['x', 'y', 'z'].map((id) => leaveBehind(name, id)))
    let calls = 0
    const onError = () => {
      calls += 1
      throw new Error('enough')
    }
    // None of them has begun with this step.
    const other = saga(kv, name, [{ name: 'other', run: () => 1 }])
    const { signal } = new AbortController()
    await expect(other.keepResuming({ signal, onError })).rejects.toThrow('enough')
    expect(calls).toBe(1)
  })

  it('looks at what another one has left or ended as soon as it hears of it', async () => {
    const name = newName()
    let reads = 0
    const store = withCall(kv, 'get', (...args) => {
      reads += 1
      return kv.get(...args)
    })
    const watching = Promise.withResolvers<void>()
    const standby = withCall(store, 'watch', (options) => {
      const watch = kv.watch(options)
      void watch.ready.then(() => watching.resolve())
      return watch
    })
    const end = new AbortController()
    const keeping = saga(standby, name, [one]).keepResuming({ signal: end.signal })
    await watching.promise
    // What it would wait for, if it waited.
    const random = vi.spyOn(Math, 'random').mockReturnValue(1e6)
    onTestFinished(() => random.mockRestore())
    const own = saga(kv, name, [one])
    for (let n = 1; n <= 3; n++) await own.run(`${n}`, n)
    await expect.poll(() => reads).toBe(3)
    end.abort()
    await keeping
  })
})

describe('a key that no saga has written', () => {
  const strange = [
    'not JSON',
    '1',
    '{"status":"paused","steps":[],"compensated":[]}',
    '{"status":"running"}',
    '{"status":"running","steps":[null],"compensated":[]}',
    '{"status":"running","steps":[],"compensated":[1]}',
  ]

  it.each(strange)('%s keeps no other one from being resumed, and is named', async (value) => {
    const name = newName()
    const key = `saga/${name}/state/m`
    await leaveBehind(name, 'a')
    await kv.put(key, value)
    await leaveBehind(name, 'z')
    const own = saga<number>(kv, name, [one, { name: 'b', run: () => 2 }])
    const refusal = {
      code: 'saga_unknown_record',
      message: expect.stringContaining(`the key ${key} was not`),
    }
    await expect(own.resume()).rejects.toMatchObject(refusal)
    expect([(await own.get('a'))?.status, (await own.get('z'))?.status]).toEqual(['completed', 'completed'])
    await expect(own.run('m', 1)).rejects.toMatchObject(refusal)
    await expect(own.forget('m')).rejects.toMatchObject(refusal)
    const listing = async () => {
      for await (const { id } of own.unfinished()) expect(id).not.toBe('m')
    }
    await expect(listing()).rejects.toMatchObject(refusal)
    expect((await kv.get(key))?.text()).toBe(value)
  })

  it('ends a run whose record it has replaced', async () => {
    const name = newName()
    const replaces = { name: 'a', run: () => kv.put(`saga/${name}/state/1`, '{"version":2}') }
    const ended = saga(kv, name, [replaces], { retryMs: 20 }).run('1', 1)
    await expect(ended).rejects.toMatchObject({ code: 'saga_unknown_record', written: 'unknown' })
    expect(await kv.count({ prefix: `saga/${name}/owner/` })).toBe(0)
  })

  it('is told once to a process that stands by, and not taken over', async () => {
    const name = newName()
    for (const [at, value] of strange.entries()) await kv.put(`saga/${name}/state/m${at}`, value)
    let sessions = 0
    const store = withCall(kv, 'session', (options) => {
      sessions += 1
      return kv.session(options)
    })
    const own = saga(store, name, [one, { name: 'b', run: () => 2 }])
    const end = new AbortController()
    const errors: unknown[] = []
    const keeping = own.keepResuming({ signal: end.signal, onError: (error) => errors.push(error) })
    await expect.poll(() => errors.length).toBe(strange.length)
    // One whose owner goes is looked at too.
    await kv.put(`saga/${name}/owner/m0/1`, '')
    await kv.delete(`saga/${name}/owner/m0/1`)
    await leaveBehind(name, 'z')
    await expect.poll(async () => (await own.get('z'))?.status).toBe('completed')
    end.abort()
    await keeping
    expect(errors.length).toBe(strange.length + 1)
    expect(sessions).toBe(1)
  })
})

describe('what is recorded', () => {
  it.each([
    ['whose message is no text', Object.assign(new Error('x'), { message: Object.create(null) })],
    ['that was revoked', revoked()],
  ])('an error %s fails its step, and the steps before are undone', async (_, thrown) => {
    const log: string[] = []
    const fails = () => {
      throw thrown
    }
    const own = saga(kv, newName(), [
      { name: 'a', run: () => 1, compensate: () => void log.push('undo a') },
      { name: 'b', run: fails },
    ])
    expect(await own.run('1', 1)).toMatchObject({ status: 'compensated', failure: { step: 'b' } })
    expect(log).toEqual(['undo a'])
  })

  it('may be nested 500 deep', async () => {
    const nested = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels))
    const log: string[] = []
    const own = saga<unknown>(kv, newName(), [
      { name: 'a', run: ({ input }) => input, compensate: () => void log.push('undo a') },
      { name: 'b', run: () => nested(3_000), compensate: () => void log.push('undo b') },
    ])
    await expect(own.run('1', nested(501))).rejects.toThrow('nested more than 500 deep')
    expect(await own.get('1')).toBeUndefined()
    const failure = { step: 'b', message: expect.stringContaining('nested more than 500 deep') }
    expect(await own.run('1', nested(500))).toMatchObject({ status: 'compensated', failure })
    expect(log).toEqual(['undo b', 'undo a'])
  })
})

it('resume and keepResuming end with their signal while the cluster is asked', async () => {
  const asked: unknown[] = []
  const end = new AbortController()
  const hanging = withCall(kv, 'list', ({ signal } = {}) => {
    asked.push(signal)
    setImmediate(() => end.abort())
    return kv.list({ signal })
  })
  const own = saga(hanging, newName(), [one])
  await expect(own.resume({ signal: end.signal })).rejects.toMatchObject({ code: 'aborted' })
  await own.keepResuming({ signal: end.signal })
  expect(asked).toEqual([end.signal])
})

it('as many are run at a time as is asked for, and no more than 10,000', async () => {
  const own = saga(kv, newName(), [one])
  for (const concurrency of [0, 10_001, 2 ** 40, Number.POSITIVE_INFINITY])
    await expect(own.resume({ concurrency })).rejects.toThrow('a whole number from 1 to 10000')
  expect(await own.resume({ concurrency: 10_000 })).toEqual([])
})

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
