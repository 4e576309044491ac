import type { Access, Permission } from '../../../../src/operations/forms/roles.ts'
import { rangeText } from '../keys/range-text.ts'
import { RangeWords } from '../keys/range-words.tsx'

export const ACCESS_WORDS: Readonly<Record<Access, string>> = {
  read: 'may read',
  write: 'may write',
  readwrite: 'may read and write',
  admin: 'may administer members, settings, history, backups, users and roles, and so give itself any right',
}

/** A permission as a sentence: `may read keys that begin with app/`. */
export function Grant({ permission: { access, range } }: { readonly permission: Permission }) {
  const words = ACCESS_WORDS[access]
  if (range === undefined) return <>{words}</>
  return (
    <>
      {words} <RangeWords range={range} />
    </>
  )
}

/** The same as plain text, which tells permissions apart. */
export const grantText = ({ access, range }: Permission): string =>
  range === undefined ? ACCESS_WORDS[access] : `${ACCESS_WORDS[access]} ${rangeText(range)}`
