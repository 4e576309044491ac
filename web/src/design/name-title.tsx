import { useState } from 'preact/hooks'
import { Button } from './button.tsx'
import { BytesText } from './bytes-text.tsx'
import './name-title.css'
import { formatBytes } from './numbers.ts'

/** Characters of a name that are shown at first. */
const SHORT = 160

/** A name as the title of a part of a page. A long one is cut, until the user asks for all of it. */
export function NameTitle({ bytes }: { readonly bytes: Uint8Array }) {
  const [isWhole, setWhole] = useState(false)
  return (
    <div class="name-title">
      <h2 class="mono">
        <BytesText bytes={bytes} max={isWhole ? Infinity : SHORT} />
      </h2>
      {bytes.length > SHORT && (
        <Button kind="quiet" onClick={() => setWhole(!isWhole)}>
          {isWhole ? 'Show its beginning' : `Show all of it: ${formatBytes(bytes.length)}`}
        </Button>
      )}
    </div>
  )
}
