import { nameRange } from '../../../../src/operations/forms/places.ts'
import type { Access, Permission } from '../../../../src/operations/forms/roles.ts'
import { BytesText, plainText } from '../../design/bytes-text.tsx'

export const ACCESS_WORDS: Readonly<Record<Access, string>> = {
  read: 'may read',
  write: 'may write',
  readwrite: 'may read and write',
  admin: 'may administer members, settings, history, backups, users and roles, and so give itself any right',
}

const LONG = 120

/** A permission as a sentence: `may read keys that begin with app/`. */
export function Grant({ permission }: { readonly permission: Permission }) {
  const { access, range } = permission
  const words = ACCESS_WORDS[access]
  if (range === undefined) return <>{words}</>
  const named = nameRange(range)
  if ('all' in named) return <>{words} all keys</>
  if ('key' in named)
    return (
      <>
        {words} the key <Key bytes={named.key} />
      </>
    )
  if ('prefix' in named)
    return named.prefix.length === 0 ? (
      <>{words} all keys</>
    ) : (
      <>
        {words} keys that begin with <Key bytes={named.prefix} />
      </>
    )
  return (
    <>
      {words} keys from <Key bytes={named.start} /> on
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

/** The same as plain text, which tells permissions apart. */
export function grantText({ access, range }: Permission): string {
  if (range === undefined) return ACCESS_WORDS[access]
  const named = nameRange(range)
  if ('all' in named) return `${ACCESS_WORDS[access]} all keys`
  if ('key' in named) return `${ACCESS_WORDS[access]} the key ${plainText(named.key)}`
  if ('prefix' in named) return `${ACCESS_WORDS[access]} keys that begin with ${plainText(named.prefix)}`
  const before = named.end === undefined ? '' : `, before ${plainText(named.end)}`
  return `${ACCESS_WORDS[access]} keys from ${plainText(named.start)} on${before}`
}
