// Records of sagas: rejected writes, errors after a write, and values that no saga has written.

import { describe, expect, vi } from 'vitest'
import { type Client, QuorateError, type Txn, UnavailableError } from '../../src/client/index.ts'
import { saga } from '../../src/recipes/saga.ts'
import { unknownOutcome } from './client-errors.ts'
import { it, kv, sleep } from './simulated-test.ts'
import { withCall } from './with-call.ts'

let sagas = 0
const newName = () => `r${++sagas}`
const one = { name: 'a', run: () => 1 }

/** The process dies in its second step. */
async function leaveBehind(name: string, id: string): Promise<void> {
  const crash = new AbortController()
  const crashing = saga(kv, name, [one, { name: 'b', run: () => crash.abort() }])
  await crashing.run(id, 1, { signal: crash.signal }).catch(() => undefined)
}

/** Whether it writes the record of a saga. */
const isRecord = ({ success = [] }: Txn): boolean =>
  success.some((each) =>
    'txn' in each ? isRecord(each.txn) : 'put' in each && Buffer.from(each.put.key ?? '').includes('/state/'),
  )

/** A client that calls `onRecord` with the number of the record, from 1 on, instead of writing a record. */
function withRecords(
  onRecord: (count: number, write: () => ReturnType<Client['txn']>) => ReturnType<Client['txn']>,
): Client {
  let count = 0
  return withCall(kv, 'txn', (txn, options) =>
    isRecord(txn) ? onRecord(++count, () => kv.txn(txn, options)) : kv.txn(txn, options),
  )
}

const proxyError = (status: number | undefined) =>
  new QuorateError('<html>', { code: 'unexpected_answer', written: 'unknown', status })

describe('a record that is rejected', () => {
  it.each([
    ['no_leader', 503],
    ['overloaded', 429],
    ['storage_full', 507],
  ])(
    'with %s is written later by the same process, without another run of its step',
    async (code, status) => {
      const name = newName()
      await leaveBehind(name, '1')
      let runs = 0
      const store = withRecords(async (count, write) => {
        if (count > 5) return write()
        throw new UnavailableError('not now', { code, status, written: 'no' })
      })
      const end = new AbortController()
      const steps = [one, { name: 'b', run: () => void runs++ }]
      const processes = Array.from({ length: 5 }, () =>
        saga(store, name, steps, { retryMs: 20 }).keepResuming({ signal: end.signal }),
      )
      while ((await saga(kv, name, steps).get('1'))?.status !== 'completed') await sleep(10)
      end.abort()
      await Promise.all(processes)
      expect(runs).toBe(1)
    },
  )

  it('by a proxy as too large fails its step, which is undone', async () => {
    const log: string[] = []
    const step = (name: string) => ({
      name,
      run: () => void log.push(name),
      compensate: () => void log.push(`undo ${name}`),
    })
    const store = withRecords(async (count, write) => {
      if (count === 3) throw proxyError(413)
      return write()
    })
    const own = saga(store, newName(), ['a', 'b'].map(step), { retryMs: 20 })
    expect(await own.run('1', 1)).toMatchObject({ status: 'compensated', failure: { step: 'b' } })
    expect(log).toEqual(['a', 'b', 'undo b', 'undo a'])
  })

  // undefined: a page that the proxy sends as if it was the answer.
  it.each([403, undefined])(
    'by a proxy with %s ends the run, and another process can resume',
    async (status) => {
      const name = newName()
      const store = withRecords(async (count, write) => {
        if (count > 1) throw proxyError(status)
        return write()
      })
      const rejected = saga(store, name, [one], { retryMs: 20 }).run('1', 1)
      await expect(rejected).rejects.toMatchObject({ code: 'unexpected_answer', written: 'unknown' })
      expect(await saga(kv, name, [one]).resume()).toMatchObject([{ id: '1', status: 'completed' }])
    },
  )

  it.each([408, 502, 520, 524])(
    'by a load balancer with %s, after it was written, is no failure',
    async (status) => {
      let runs = 0
      const store = withRecords(async (count, write) => {
        const result = await write()
        if (count === 2) throw proxyError(status)
        return result
      })
      const steps = [{ name: 'a', run: () => void runs++ }]
      const ended = await saga(store, newName(), steps, { retryMs: 20 }).run('1', 1)
      expect([ended.status, runs]).toEqual(['completed', 1])
    },
  )

  it('is written soon, however long the pauses of compensations are', async () => {
    const store = withRecords(async (count, write) => {
      if (count === 1) throw new UnavailableError('not now', { code: 'no_leader', written: 'no' })
      return write()
    })
    const start = performance.now()
    const own = saga(store, newName(), [one], { retryMs: 100 * 60_000 })
    expect(await own.run('1', 1)).toMatchObject({ status: 'completed' })
    expect(performance.now() - start).toBeLessThan(5_000)
  })
})

describe('an error after a record of the same call', () => {
  const rejection = { code: 'host_not_allowed', status: 403, written: 'no' } as const

  it.each([
    ['', false],
    [', also if its outcome was unknown', true],
  ])('has an unknown outcome%s', async (_, isUnknown) => {
    const name = newName()
    await leaveBehind(name, '1')
    const steps = [one, { name: 'b', run: () => 2 }, { name: 'c', run: () => 3 }]
    const store = withRecords(async (count, write) => {
      if (count > 1) throw new QuorateError('not from there', rejection)
      const result = await write()
      if (isUnknown) throw unknownOutcome()
      return result
    })
    const own = saga(store, name, steps, { retryMs: 20 })
    await expect(own.run('1', 1)).rejects.toMatchObject({ written: 'unknown' })
    expect(await own.get('1')).toMatchObject({ status: 'running', steps: ['a', 'b'] })
  })

  it('of a call that has written no record is the one of the store', async () => {
    const store = withCall(kv, 'session', async () => {
      throw new QuorateError('not from there', rejection)
    })
    await expect(saga(store, newName(), [one]).run('1', 1)).rejects.toMatchObject(rejection)
  })
})

describe('a value that no saga has written', () => {
  const foreign = [
    'not JSON',
    '1',
    '{"status":"paused","steps":[],"compensated":[]}',
    '{"status":"running"}',
    '{"status":"running","steps":[null],"compensated":[]}',
    '{"status":"running","steps":[],"compensated":[1]}',
    '{"status":"running","steps":[],"compensated":[],"failure":"a text"}',
  ]

  it.each(foreign)('%s is reported, and keeps no saga from being resumed', async (value) => {
    const name = newName()
    const key = `saga/${name}/state/m`
    await leaveBehind(name, 'a')
    await kv.put(key, value)
    await leaveBehind(name, 'z')
    const own = saga<number>(kv, name, [one, { name: 'b', run: () => 2 }])
    const report = {
      code: 'saga_unknown_record',
      message: expect.stringContaining(`the key ${JSON.stringify(key)} was not written by a saga`),
    }
    await expect(own.resume()).rejects.toMatchObject(report)
    expect([(await own.get('a'))?.status, (await own.get('z'))?.status]).toEqual(['completed', 'completed'])
    await expect(own.run('m', 1)).rejects.toMatchObject(report)
    await expect(own.forget('m')).rejects.toMatchObject(report)
    expect((await kv.get(key))?.text()).toBe(value)
  })

  it('is left out of the sagas that have not ended, with a warning of the process', async () => {
    const name = newName()
    await kv.put(`saga/${name}/state/m`, 'not JSON')
    await leaveBehind(name, 'z')
    const warned = vi.spyOn(process, 'emitWarning')
    const ids: string[] = []
    for await (const { id } of saga(kv, name, [one]).unfinished()) ids.push(id)
    expect(ids).toEqual(['z'])
    expect(warned).toHaveBeenCalledWith(expect.stringContaining(`saga/${name}/state/m`), 'QuorateWarning')
  })

  it('ends the run whose record it has replaced', async () => {
    const name = newName()
    const replaces = { name: 'a', run: () => kv.put(`saga/${name}/state/1`, '{"version":2}') }
    const ended = saga(kv, name, [replaces], { retryMs: 20 }).run('1', 1)
    await expect(ended).rejects.toMatchObject({ written: 'unknown' })
    expect((await kv.get(`saga/${name}/state/1`))?.text()).toBe('{"version":2}')
    expect(await kv.count({ prefix: `saga/${name}/owner/` })).toBe(0)
  })

  it('is reported once in each scan of keepResuming, without a session', async () => {
    const name = newName()
    for (const [at, value] of foreign.entries()) await kv.put(`saga/${name}/state/m${at}`, value)
    let sessions = 0
    const store = withCall(kv, 'session', (options) => {
      sessions += 1
      return kv.session(options)
    })
    const own = saga(store, name, [one, { name: 'b', run: () => 2 }])
    const end = new AbortController()
    const errors: unknown[] = []
    const keeping = own.keepResuming({ signal: end.signal, onError: (error) => errors.push(error) })
    while (errors.length < foreign.length) await sleep(10)
    await leaveBehind(name, 'z')
    while ((await own.get('z'))?.status !== 'completed') await sleep(10)
    end.abort()
    await keeping
    expect(errors.length).toBe(foreign.length)
    expect(sessions).toBe(1)
  })
})

describe('keepResuming', () => {
  it('ends with its signal while the store is unreachable, and so does resume', async () => {
    const listed: unknown[] = []
    const end = new AbortController()
    const unreachable = withCall(kv, 'list', ({ signal } = {}) => {
      listed.push(signal)
      end.abort()
      return kv.list({ signal })
    })
    const own = saga(unreachable, newName(), [one])
    await expect(own.resume({ signal: end.signal })).rejects.toMatchObject({ code: 'aborted' })
    await own.keepResuming({ signal: end.signal })
    expect(listed).toEqual([end.signal])
  })
})

it('records a failed step whose error has no text', async () => {
  const log: string[] = []
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  for (const thrown of [Object.assign(new Error('x'), { message: Object.create(null) }), proxy]) {
    const fails = () => {
      throw thrown
    }
    const own = saga(kv, newName(), [
      { name: 'a', run: () => 1, compensate: () => void log.push('undo a') },
      { name: 'b', run: fails },
    ])
    expect(await own.run('1', 1)).toMatchObject({ status: 'compensated', failure: { step: 'b' } })
  }
  expect(log).toEqual(['undo a', 'undo a'])
})

it('resumes at most 10,000 sagas at a time', async () => {
  const own = saga(kv, newName(), [one])
  for (const concurrency of [0, 10_001, 2 ** 40, Number.POSITIVE_INFINITY])
    await expect(own.resume({ concurrency })).rejects.toThrow('a whole number from 1 to 10000')
  expect(await own.resume({ concurrency: 10_000 })).toEqual([])
})
