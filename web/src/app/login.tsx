import { useState } from 'preact/hooks'
import { logIn } from '../../../src/operations/log-in.ts'
import { describeError, isLoginOpen, needsLogin, run } from '../cluster/connection.ts'
import { keepUserToken, userName } from '../cluster/credentials.ts'
import { Button } from '../design/button.tsx'
import { Dialog } from '../design/dialog.tsx'
import { TextField } from '../design/field.tsx'
import { Notice } from '../design/notice.tsx'

/** The dialog that exchanges name and password for a token. The password is not kept. */
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
      const { result } = await run(logIn, { kind: 'log-in', user: name, password })
      keepUserToken(name, result.token)
      needsLogin.value = false
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
          A login lasts ten minutes, and ends with the tab. The password is not kept.
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
