import type { SelfResult } from '../../../src/operations/documents/auth.ts'
import { Button } from '../design/button.tsx'
import { SafeText } from '../design/bytes-text.tsx'
import { Dialog } from '../design/dialog.tsx'
import { Grant, grantText } from '../pages/operation/grant.tsx'

interface SelfDialogProps {
  readonly of: SelfResult
  readonly onClose: () => void
}

/** Says what the user may do, as the node knows it. */
export function SelfDialog({ of: { user = '', enabled, roles, permissions }, onClose }: SelfDialogProps) {
  return (
    <Dialog title={`You are ${user}`} onClose={onClose}>
      {!enabled && <p>Rights are not checked now: everybody who can connect may do everything.</p>}
      {enabled && (
        <>
          <p>
            {roles.length === 0 ? (
              'You have no role, so you may read and write no key.'
            ) : (
              <>
                Your {roles.length === 1 ? 'role' : 'roles'}: <SafeText text={roles.join(', ')} max={1_000} />
                .{permissions.length > 0 ? ' You' : ' Nothing is permitted by it.'}
              </>
            )}
          </p>
          <ul class="self-permissions">
            {permissions.map((permission) => (
              <li key={grantText(permission)}>
                <Grant permission={permission} />
              </li>
            ))}
          </ul>
        </>
      )}
      <div class="dialog-actions">
        <Button onClick={onClose}>Close</Button>
      </div>
    </Dialog>
  )
}
