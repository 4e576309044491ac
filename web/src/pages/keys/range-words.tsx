// Words for ranges of keys.

import { type KeyRange, nameRange } from '../../../../src/operations/forms/places.ts'
import { BytesText } from '../../design/bytes-text.tsx'

const LONG = 120

/** `keys that begin with app/`, `the key app/a`. */
export function RangeWords({ range }: { readonly range: KeyRange }) {
  const named = nameRange(range)
  if ('all' in named || ('prefix' in named && named.prefix.length === 0)) return <>all keys</>
  if ('key' in named)
    return (
      <>
        the key <Key bytes={named.key} />
      </>
    )
  if ('prefix' in named)
    return (
      <>
        keys that begin with <Key bytes={named.prefix} />
      </>
    )
  return (
    <>
      keys from <Key bytes={named.start} /> on
      {named.end !== undefined && (
        <>
          , before <Key bytes={named.end} />
        </>
      )}
    </>
  )
}

const Key = ({ bytes }: { readonly bytes: Uint8Array }) => (
  <code>
    <BytesText bytes={bytes} max={LONG} />
  </code>
)
