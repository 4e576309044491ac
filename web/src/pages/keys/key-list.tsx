// Keys as a flat list, a page at a time. The URL has the page.

import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import { keyAfter, prefixRange } from '../../../../src/operations/forms/places.ts'
import { useRequest } from '../../cluster/use-request.ts'
import { useRevision } from '../../cluster/use-revision.ts'
import { BytesText, toHex } from '../../design/bytes-text.tsx'
import { Notice } from '../../design/notice.tsx'
import { identify } from './children.ts'
import { checkReadable, readKeys } from './key-reads.ts'
import { fromHex, type KeysPlace, keysHref } from './key-route.ts'

const PAGE = 100

interface ListProps {
  readonly place: KeysPlace
  readonly empty: preact.ComponentChild
}

export function KeyList({ place, empty }: ListProps) {
  const { prefix, after } = place
  const revision = useRevision()
  const name = `${prefix} ${after}`
  const { data, error } = useRequest(
    async (signal) => {
      const all = prefixRange(encodeUtf8(prefix))
      await checkReadable(all, signal)
      const last = after === undefined ? undefined : fromHex(after)
      let page = await readKeys(
        last === undefined ? all : { start: keyAfter(last), end: all.end },
        PAGE,
        signal,
      )
      // Parts without a key are passed.
      while (page.records.length === 0 && page.next !== undefined)
        page = await readKeys({ start: page.next, end: all.end }, PAGE, signal)
      return { ...page, place: name }
    },
    [prefix, after],
    revision,
  )
  const problem = error !== undefined && <Notice kind="problem">{error}</Notice>
  // The keys of another place are not under its error.
  if (data === undefined || (problem && data.place !== name)) return problem || null
  const { records, next } = data
  const last = records.at(-1)?.key
  if (records.length === 0 && after === undefined) return problem || empty
  return (
    <>
      {problem}
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
        {next !== undefined && last !== undefined && (
          <a href={keysHref({ ...place, after: toHex(last) })}>Next page</a>
        )}
      </nav>
    </>
  )
}
