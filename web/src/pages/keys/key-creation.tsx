import { useState } from 'preact/hooks'
import { encodeUtf8 } from '../../../../src/bytes/index.ts'
import { Button } from '../../design/button.tsx'
import { Dialog } from '../../design/dialog.tsx'
import { TextField } from '../../design/field.tsx'
import { navigate } from '../../route.ts'
import { keysHref } from './key-route.ts'
import { ValueEditor } from './value-editor.tsx'

/** Asks for the name of a new key, then for its value. */
export function KeyCreation({ prefix, onClose }: { readonly prefix: string; readonly onClose: () => void }) {
  const [name, setName] = useState(prefix)
  const [isNamed, setNamed] = useState(false)
  if (isNamed) {
    const key = encodeUtf8(name)
    return (
      <ValueEditor
        target={key}
        record={undefined}
        onClose={onClose}
        onWritten={() => navigate(keysHref({ key }))}
      />
    )
  }
  return (
    <Dialog title="New key" onClose={onClose}>
      <form
        class="dialog-form"
        onSubmit={(event) => {
          event.preventDefault()
          setNamed(true)
        }}
      >
        <TextField
          label="Key"
          value={name}
          onInput={setName}
          isMono
          isRequired
          hint="Any text. A slash makes a folder in the tree."
        />
        <div class="dialog-actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={name === ''}>
            Next: its value
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
