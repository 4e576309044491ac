import { useState } from 'preact/hooks'
import { describeError, isLoginOpen } from '../cluster/connection.ts'
import { userName } from '../cluster/credentials.ts'
import { logInAs } from '../cluster/login.ts'
import { Button } from '../design/button.tsx'
import { Dialog } from '../design/dialog.tsx'
import { TextField } from '../design/field.tsx'
import { Notice } from '../design/notice.tsx'

/** The dialog that exchanges name and password for a token. */
export function Login() {
  const [name, setName] = useState(userName.peek() ?? '')
  const [password, setPassword] = useState('')
  const [error, setError] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const close = (): void => {
    isLoginOpen.value = false
  }
  const logInNow = async (): Promise<void> => {
    setBusy(true)
    setError(undefined)
    try {
      await logInAs(name, password)
      close()
    } catch (cause) {
      setError(describeError(cause))
    } finally {
      setBusy(false)
    }
  }
  return (
    <Dialog title="Log in" onClose={close}>
      <form
        class="dialog-form"
        onSubmit={(event) => {
          event.preventDefault()
          void logInNow()
        }}
      >
        <p class="dialog-text">
          {userName.value === undefined
            ? 'This tab shows and changes what the user may.'
            : `The login of ${userName.value} has ended.`}{' '}
          The login lasts while this page is open: until then, the page keeps the password in its memory.
          After a reload it lasts ten more minutes at most.
        </p>
        <TextField label="User" value={name} onInput={setName} isRequired autoComplete="username" />
        <TextField
          label="Password"
          type="password"
          value={password}
          onInput={setPassword}
          isRequired
          autoComplete="current-password"
        />
        {error !== undefined && <Notice kind="problem">{error}</Notice>}
        <div class="dialog-actions">
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" type="submit" disabled={isBusy}>
            {isBusy ? 'One moment …' : 'Log in'}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
