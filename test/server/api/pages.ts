// Pages of ranges, as a transport reads them.

import { ApiError, type KeyRow, type Revision } from '../../../src/operations/forms/index.ts'
import type { RangeRequest } from '../../../src/operations/index.ts'
import type { Api } from '../../../src/server/api/api.ts'
import type { Call, PageCollector, Principal, RangeReader } from '../../../src/server/api/call.ts'
import { execute } from '../../../src/server/api/execute.ts'
import type { OpenedRange } from '../../../src/server/api/opened-range.ts'

interface Page {
  readonly keys: readonly Uint8Array[]
  readonly more: boolean
  readonly count: number | undefined
  readonly revision: Revision
}

class Rows implements PageCollector {
  readonly keys: Uint8Array[] = []

  add({ key, value }: KeyRow, bytesMax: number): number {
    const bytes = key.length + value.length
    if (bytes <= bytesMax) this.keys.push(key)
    return bytes
  }
}

/** The number of keys, by a reader of its own, as etcd's API has. Rejects like `readPage`. */
export async function readCount(...[api, request, principal, isAbandoned]: Parameters<typeof readPage>) {
  let count: number | undefined
  const read = async (range: OpenedRange): Promise<void> => {
    count = await range.count()
  }
  const page = await readPage(api, request, principal, isAbandoned, { needsSizes: false, read })
  return page === 'compacted' ? page : { ...page, count }
}

/** Rejects with `ApiError`, unless the revision is compacted. */
export function readPage(
  api: Api,
  request: Omit<RangeRequest, 'kind' | 'freshness'>,
  principal?: Principal,
  isAbandoned = () => false,
  rangeReader: RangeReader | undefined = undefined,
): Promise<Page | 'compacted'> {
  const page = new Rows()
  const deadline = performance.now() + 60_000
  const call: Call = { deadline, expansion: 1, isAbandoned, page, principal, rangeReader }
  return new Promise((resolve, reject) =>
    execute(api, { kind: 'range', freshness: {}, ...request }, call, (answer) => {
      if (answer instanceof ApiError && answer.code === 'compacted') resolve('compacted')
      else if (answer instanceof ApiError) reject(answer)
      else if (answer.kind !== 'page') reject(new Error(`a range is answered with ${answer.kind}`))
      else {
        const { more, count, head } = answer
        resolve({ keys: page.keys, more, count, revision: head.revision })
      }
    }),
  )
}
