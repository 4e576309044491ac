// An error that a callback of the application throws is an uncaught exception. The background work continues.

import { expect, vi } from 'vitest'
import { config, queue, registry, saga } from '../../src/recipes/index.ts'
import { it, kv, sleep } from './simulated-test.ts'

/** Exceptions that are not caught, from now on. */
function catchExceptions(): unknown[] {
  const uncaught: unknown[] = []
  vi.spyOn(globalThis, 'queueMicrotask').mockImplementation((run) => {
    Promise.resolve()
      .then(run)
      .catch((error: unknown) => uncaught.push(error))
  })
  return uncaught
}

const failing = (text: string) => () => {
  throw text
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(5)
}

it('of a configuration', async () => {
  const uncaught = catchExceptions()
  await kv.put('c', '1')
  const validate = (value: unknown) => (value as number).toFixed()
  const live = await config(kv, { key: 'c', validate, onError: failing('of config') })
  await kv.put('c', '"bad"')
  await until(() => uncaught.length === 1)
  const changed = new Promise((resolve) => live.onChange(resolve))
  await kv.put('c', '2')
  expect(await changed).toBe('2')
  await live.close()
  expect(uncaught).toEqual(['of config'])
})

it('of a registration and a resolver', async () => {
  const uncaught = catchExceptions()
  const services = registry(kv, 's')
  const onProblem = failing('of registration')
  const registration = await services.register({ id: 'i', url: 'u', ttlMs: 4_000, onProblem })
  await kv.revokeLease((await kv.get('service/s/i'))?.lease ?? '')
  await until(() => uncaught.length === 1)
  await until(() => registration.isRegistered)
  await registration.close()

  vi.spyOn(kv, 'txn').mockRejectedValueOnce(new Error('no node answers'))
  const resolver = services.resolver({ onError: failing('of resolver') })
  await until(() => uncaught.length === 2)
  const { id: lease } = await kv.grantLease({ ttlMs: 60_000 })
  await kv.put('service/s/j', '{"url":"v"}', { lease })
  await until(() => resolver.instances.length === 1)
  expect(await resolver.resolve()).toMatchObject({ url: 'v' })
  await resolver.close()
  expect(uncaught).toEqual(['of registration', 'of resolver'])
})

it('of a consumer and of a process that resumes sagas', async () => {
  const uncaught = catchExceptions()
  const end = new AbortController()
  const { signal } = end
  const jobs = queue(kv, 'jobs', { attemptsMax: 1 })
  await jobs.push('bad')
  const consuming = jobs.consume(failing('of handler'), { signal, onError: failing('of consumer') })
  await until(async () => (await jobs.len()).dead === 1)
  await kv.put('saga/orders/state/m', 'foreign')
  const orders = saga(kv, 'orders', [{ name: 'a', run: () => 1 }])
  const resuming = orders.keepResuming({ signal, onError: failing('of saga') })
  await until(() => uncaught.length === 2)
  end.abort()
  await Promise.all([consuming, resuming])
  expect(uncaught).toEqual(['of consumer', 'of saga'])
})
