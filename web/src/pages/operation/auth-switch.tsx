import { Button } from '../../design/button.tsx'
import { Confirmation, Dialog } from '../../design/dialog.tsx'
import { Notice } from '../../design/notice.tsx'
import { changeUsers } from './auth-state.ts'
import { type AuthOverview, enablingFault, ROOT } from './permissions.ts'

export interface AuthDialogProps {
  readonly auth: AuthOverview
  readonly onClose: () => void
  readonly onDone: (text: string) => void
  /** Reads users and roles again: somebody else has changed them. */
  readonly onConflict: () => void
}

/** Turns the check of rights on or off. */
export function AuthSwitch({ auth, onClose, onDone, onConflict }: AuthDialogProps) {
  const fault = auth.enabled || auth.refusal !== undefined ? undefined : enablingFault(auth)
  const hasPassword = auth.users.some(({ name, hasPassword }) => name === ROOT && hasPassword)
  const confirm = async (): Promise<void> => {
    await changeUsers({ kind: auth.enabled ? 'disable' : 'enable' }, undefined, onConflict)
    onDone(auth.enabled ? 'Rights are checked no longer.' : 'Rights are checked from now on.')
  }
  if (fault !== undefined)
    return (
      <Dialog title="Check rights?" onClose={onClose}>
        <p>{fault} Add that user first.</p>
        <div class="dialog-actions">
          <Button onClick={onClose}>Close</Button>
        </div>
      </Dialog>
    )
  if (auth.enabled)
    return (
      <Confirmation
        title="Check rights no longer?"
        action="Check no longer"
        typed="disable"
        onConfirm={confirm}
        onClose={onClose}
      >
        <p>
          From then on everybody who can connect may do everything. Nodes that were not started with
          --insecure refuse the clients of other machines.
        </p>
        <p>Users and roles stay, so rights can be checked again. It needs the permission admin.</p>
      </Confirmation>
    )
  return (
    <Confirmation
      title="Check rights?"
      action="Check rights"
      typed="enable"
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>
        From then on each request needs a user. Clients without one are refused at once, and their watches
        end: give them users first. This page asks you to log in.
      </p>
      {!hasPassword && (
        <Notice kind="warning">
          root has no password. Only a client with a certificate of root can administer the cluster then. This
          page cannot log in as root.
        </Notice>
      )}
      <p>Root can turn the check off again.</p>
    </Confirmation>
  )
}
