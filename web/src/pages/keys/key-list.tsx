// Keys as a flat list, a page at a time. The URL has the page.

import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import { prefixRange } from '../../../../src/operations/forms/places.ts'
import { range } from '../../../../src/operations/range.ts'
import { useRequest } from '../../app/use-request.ts'
import { useRevision } from '../../app/use-revision.ts'
import { run } from '../../cluster/connection.ts'
import { pageFreshness } from '../../cluster/freshness.ts'
import { BytesText, toHex } from '../../design/bytes-text.tsx'
import { Notice } from '../../design/notice.tsx'
import { identify } from './children.ts'
import { fromHex, type KeysPlace, keysHref } from './key-route.ts'

const PAGE = 100

interface ListProps {
  readonly place: KeysPlace
  readonly empty: preact.ComponentChild
}

export function KeyList({ place, empty }: ListProps) {
  const { prefix, after } = place
  const revision = useRevision()
  const { data, error } = useRequest(
    async (signal) => {
      const { result } = await run(
        range,
        {
          kind: 'range',
          range: prefixRange(encodeUtf8(prefix)),
          after: after === undefined ? undefined : fromHex(after),
          limit: PAGE,
          keysOnly: true,
          freshness: pageFreshness(),
        },
        { signal },
      )
      return result
    },
    [prefix, after],
    revision,
  )
  if (error !== undefined) return <Notice kind="problem">{error}</Notice>
  if (data === undefined) return null
  const { records, more, last } = data
  if (records.length === 0 && after === undefined) return empty
  return (
    <>
      <ul class="key-list" aria-label="Keys">
        {records.map(({ key }) => (
          <li key={identify(key)}>
            <a
              class="tree-item"
              href={keysHref({ ...place, key, revision: undefined })}
              {...(place.key !== undefined && identify(place.key) === identify(key)
                ? { 'aria-current': 'true' as const }
                : undefined)}
            >
              <BytesText bytes={key} max={300} />
            </a>
          </li>
        ))}
      </ul>
      <nav class="pager" aria-label="Pages of keys">
        {after !== undefined && <a href={keysHref({ ...place, after: undefined })}>First page</a>}
        {more && last !== undefined && <a href={keysHref({ ...place, after: toHex(last) })}>Next page</a>}
      </nav>
    </>
  )
}
