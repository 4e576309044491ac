// Changes of a failed item that others have changed since it was read.

import { beforeAll, expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { answer, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Modules {
  putBack(prefix: Uint8Array, item: object, change: unknown): Promise<boolean>
  deleteFailed(prefix: Uint8Array, item: object, change: unknown): Promise<boolean>
  readonly Changes: new () => { readonly make: unknown }
}
const node = stubPage()
let page: Modules
beforeAll(async () => {
  const names = ['pages/coordination/queue-reads.ts', 'cluster/change.ts']
  page = Object.assign({}, ...(await Promise.all(names.map((name) => load<object>(name)))))
})

const ID = '999-0000000000000007-aa'
const DEAD = `queue/mail/dead/${ID}`
/** The record of the failed item, as a node compares it. */
type Stored = { readonly version: number; readonly create_revision: number; readonly mod_revision: number }
const SEEN: Stored = { version: 1, create_revision: 20, mod_revision: 20 }
const ITEM = {
  id: ID,
  record: {
    key: encodeUtf8(DEAD),
    value: encodeUtf8('{"attempts":1}'),
    version: 1,
    createRevision: 20,
    modRevision: 20,
  },
}

interface Comparison {
  readonly key: string
  readonly target?: keyof Stored
  readonly to?: number
  readonly exists?: boolean
}

/** States of the item after changes of others, and whether it is still the one that was seen. */
const STATES: Readonly<Record<string, readonly [stored: Stored | undefined, isSeen: boolean]>> = {
  'is as it was': [SEEN, true],
  'was put back': [undefined, false],
  // Its key was deleted and made again: the version is the same.
  'was put back, and has failed again': [{ version: 1, create_revision: 30, mod_revision: 30 }, false],
  'has another error': [{ version: 2, create_revision: 20, mod_revision: 31 }, false],
}

test.each(Object.entries(STATES))('a failed item that %s', async (_, [stored, isSeen]) => {
  for (const change of [page.putBack, page.deleteFailed]) {
    let done: readonly object[] = []
    node.serve = ({ body }) => {
      const { compare, success } = JSON.parse(body) as { compare: Comparison[]; success: object[] }
      expect(compare.map(({ key }) => key)).toEqual([DEAD])
      const succeeded = compare.every(({ target, to, exists }) =>
        target === undefined ? exists === (stored !== undefined) : (stored?.[target] ?? 0) === to,
      )
      if (succeeded) done = success
      const results = done.map((each) =>
        'put' in each
          ? { put: { create_revision: 40, mod_revision: 40, version: 1 } }
          : { delete: { deleted: 1 } },
      )
      return answer({ revision: 40, succeeded, results })
    }
    expect(await change(encodeUtf8('queue/mail/'), ITEM, new page.Changes().make)).toBe(isSeen)
    expect(done).toHaveLength(isSeen ? 2 : 0)
  }
})
