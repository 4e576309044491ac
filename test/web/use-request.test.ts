// Reads of a page while the store changes.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'

vi.stubGlobal('sessionStorage', {
  getItem: () => null,
  setItem: () => undefined,
  removeItem: () => undefined,
})
vi.stubGlobal('location', { hash: '', origin: 'http://node' })
// The types of these modules need those of a browser. They read the storage of the tab when they are loaded.
const load = (path: string): Promise<unknown> => import(path)

interface Hooks {
  useState<T>(first: T): [T, (next: T) => void]
}
interface Renderer {
  render(node: unknown, parent: object): void
  h(component: () => null): unknown
}
interface Request {
  readonly data: string | undefined
  readonly error: string | undefined
  readonly reload: () => void
}
type UseRequest = (
  read: (signal: AbortSignal) => Promise<string>,
  dependencies: readonly unknown[],
  version: number,
) => Request

/** A component that reads a key. Its reads are answered by the test. */
async function showReader() {
  const { render, h } = (await load('preact')) as Renderer
  const { useState } = (await load('preact/hooks')) as Hooks
  const { useRequest } = (await load('../../web/src/cluster/use-request.ts')) as { useRequest: UseRequest }
  const reads: (PromiseWithResolvers<string> & { readonly of: string; readonly signal: AbortSignal })[] = []
  const shown = { change: (_: { readonly key: string; readonly version: number }): void => {}, reads }
  let request: Request | undefined
  const Reader = (): null => {
    const [{ key, version }, setState] = useState({ key: 'a', version: 1 })
    shown.change = setState
    request = useRequest(
      (signal) => {
        const read = { ...Promise.withResolvers<string>(), of: `${key} at ${version}`, signal }
        reads.push(read)
        return read.promise
      },
      [key],
      version,
    )
    return null
  }
  // It draws nothing, so it needs no more of a document than this.
  const parent = {
    childNodes: [],
    firstChild: null,
    nodeType: 1,
    insertBefore: () => undefined,
    contains: () => false,
  }
  render(h(Reader), parent)
  await vi.waitFor(() => expect(reads).toHaveLength(1))
  const change = async (key: string, version: number): Promise<void> => {
    shown.change({ key, version })
    // Longer than a browser takes to draw, after which effects run.
    await vi.advanceTimersByTimeAsync(1_000)
  }
  return { reads, change, request: () => request }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('a read is answered while the store changes, and one read of the newest version follows', async () => {
  const { reads, change, request } = await showReader()
  for (let version = 2; version <= 5; version++) await change('a', version)
  expect(reads.map(({ of }) => of)).toEqual(['a at 1'])
  reads[0]?.resolve('first')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(request()?.data).toBe('first')
  expect(reads.map(({ of }) => of)).toEqual(['a at 1', 'a at 5'])
  reads[1]?.reject(new Error('no answer'))
  await vi.advanceTimersByTimeAsync(1_000)
  expect(request()).toMatchObject({ data: 'first', error: 'no answer' })
  expect(reads).toHaveLength(2)
  await change('a', 6)
  reads[2]?.resolve('third')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(request()).toMatchObject({ data: 'third', error: undefined })
})

test('another dependency and a reload end the read in flight', async () => {
  const { reads, change, request } = await showReader()
  await change('b', 2)
  expect(reads.map(({ of, signal }) => [of, signal.aborted])).toEqual([
    ['a at 1', true],
    ['b at 2', false],
  ])
  request()?.reload()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(reads.map(({ signal }) => signal.aborted)).toEqual([true, true, false])
  reads[1]?.resolve('old')
  reads[2]?.resolve('new')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(request()?.data).toBe('new')
  expect(reads).toHaveLength(3)
})

test('a failure that may pass is not shown for ever: it is read again', async () => {
  const { reads, change, request } = await showReader()
  const { NoAnswerError } = (await load('../../web/src/cluster/connection.ts')) as {
    readonly NoAnswerError: new (message: string, written: 'no') => Error
  }
  reads[0]?.reject(new NoAnswerError('no answer', 'no'))
  await vi.advanceTimersByTimeAsync(1_000)
  expect(request()?.error).toBe('no answer')
  // The store is quiet: its revision stays.
  await vi.advanceTimersByTimeAsync(10_000)
  expect(reads).toHaveLength(2)
  reads[1]?.resolve('there again')
  await vi.advanceTimersByTimeAsync(10_000)
  expect(request()).toMatchObject({ data: 'there again', error: undefined })
  expect(reads).toHaveLength(2)
  // Nothing is repeated for a place that is left.
  await change('a', 2)
  reads[2]?.reject(new NoAnswerError('no answer', 'no'))
  await vi.advanceTimersByTimeAsync(1_000)
  await change('b', 2)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(reads.map(({ of }) => of)).toEqual(['a at 1', 'a at 1', 'a at 2', 'b at 2'])
})
