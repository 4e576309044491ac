// Endings of a backup that is saved: a file is whole, or it is given up once.

import { beforeAll, expect, test } from 'vitest'
import { problem, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

type Save = (
  target: object,
  history: boolean,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
) => Promise<number>
const node = stubPage()
let saveBackup: Save
beforeAll(async () => {
  ;({ saveBackup } = await load<{ saveBackup: Save }>('pages/operation/backup-download.ts'))
})

const PARTS = [3, 5, 7].map((length) => new Uint8Array(length))
const LENGTH = 15
/** A stream of these parts, which breaks after so many of them; undefined: it is whole. */
const streamOf = (breaksAfter?: number) => {
  let at = 0
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = PARTS[at]
      if (at++ === breaksAfter) controller.error(new TypeError('the connection broke'))
      else if (part === undefined) controller.close()
      else controller.enqueue(part)
    },
  })
}
const fail = async (): Promise<never> => {
  throw new Error('the disk is full')
}

interface Ending {
  readonly respond: () => Response
  readonly target?: object
  readonly message: RegExp
}
const ENDINGS: Readonly<Record<string, Ending>> = {
  'the node refuses it': { respond: () => problem('permission_denied', 403), message: /permission_denied/ },
  'the stream breaks at once': { respond: () => new Response(streamOf(0)), message: /broke/ },
  'the stream breaks later': { respond: () => new Response(streamOf(2)), message: /broke/ },
  'a part cannot be written': {
    ...{ respond: () => new Response(streamOf()), target: { write: fail }, message: /disk is full/ },
  },
  'the file cannot be named': {
    ...{ respond: () => new Response(streamOf()), target: { finish: fail }, message: /disk is full/ },
  },
  'giving it up fails as well': {
    ...{ respond: () => new Response(streamOf(1)), target: { giveUp: fail }, message: /broke/ },
  },
}

test.each(Object.entries(ENDINGS))('%s, twice: there is no file', async (_, { respond, target, message }) => {
  for (let time = 1; time <= 2; time++) {
    const calls: string[] = []
    const record = (name: string) => async () => void calls.push(name)
    const given = {
      name: 'b',
      write: record('write'),
      finish: record('finish'),
      giveUp: record('give up'),
      ...target,
    }
    node.serve = respond
    await expect(saveBackup(given, true, new AbortController().signal, () => {})).rejects.toThrow(message)
    if (target === undefined || !('giveUp' in target))
      expect(calls.filter((call) => call === 'give up')).toHaveLength(1)
    expect(calls).not.toContain('finish')
  }
})

test('a whole one is finished, and not given up', async () => {
  const calls: string[] = []
  const record = (name: string) => async () => void calls.push(name)
  node.serve = () => new Response(streamOf())
  const progress: number[] = []
  const target = { name: 'b', write: record('write'), finish: record('finish'), giveUp: record('give up') }
  expect(await saveBackup(target, true, new AbortController().signal, (bytes) => progress.push(bytes))).toBe(
    LENGTH,
  )
  expect(calls).toEqual(['write', 'write', 'write', 'finish'])
  expect(progress).toEqual([3, 8, 15])
})
