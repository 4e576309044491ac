import { utf8Text } from '../../../../src/bytes/index.ts'
import { type KeyRange, nameRange } from '../../../../src/operations/forms/places.ts'
import { readable } from '../../cluster/self.ts'
import { RangeWords } from './range-words.tsx'
import './readable-note.css'

const NAMED_MAX = 5

interface NoteProps {
  /** The link to the keys of a prefix. */
  readonly href: (prefix: string) => string
}

/** Names the keys that the user may read, where these are not all: a list without the others must say so. */
export function ReadableNote({ href }: NoteProps) {
  const { value } = readable
  if (value === undefined) return null
  if (value.length === 0) return <p class="readable-note">You may read no key.</p>
  const left = value.length - NAMED_MAX
  return (
    <p class="readable-note">
      You may read{' '}
      {value.slice(0, NAMED_MAX).map((range, at) => (
        <span key={range.start.join()}>
          {at > 0 && ', '}
          <Linked range={range} href={href} />
        </span>
      ))}
      {left > 0 && `, and ${left} more`}.
    </p>
  )
}

function Linked({ range, href }: NoteProps & { readonly range: KeyRange }) {
  const named = nameRange(range)
  const prefix = 'prefix' in named ? utf8Text(named.prefix) : undefined
  if (prefix === undefined) return <RangeWords range={range} />
  return (
    <a href={href(prefix)}>
      <RangeWords range={range} />
    </a>
  )
}
