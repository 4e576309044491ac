import { del } from '../../../../src/operations/delete.ts'
import type { KeyRow } from '../../../../src/operations/forms/store.ts'
import { nameChange } from '../../cluster/change.ts'
import { describeError, RefusedError } from '../../cluster/connection.ts'
import { useChange } from '../../cluster/use-change.ts'
import { BytesText } from '../../design/bytes-text.tsx'
import { Confirmation } from '../../design/dialog.tsx'
import { formatCount } from '../../design/numbers.ts'

interface DeletionProps {
  readonly record: KeyRow
  readonly onClose: () => void
  readonly onDeleted: () => void
}

/** Deletes a key, if it is unchanged since it was read. */
export function KeyDeletion({ record, onClose, onDeleted }: DeletionProps) {
  const { key, modRevision } = record
  const change = useChange()
  const confirm = async (): Promise<void> => {
    try {
      await change(del, {
        kind: 'delete',
        key,
        condition: { ifMatch: [modRevision], ifNoneMatch: undefined },
        prev: false,
        idempotency: nameChange(),
      })
    } catch (error) {
      if (error instanceof RefusedError && error.problem.code === 'precondition_failed')
        throw new Error(
          'Nothing was deleted: the key has changed since you read it. Close this, and look again.',
        )
      throw new Error(describeError(error))
    }
    onDeleted()
  }
  return (
    <Confirmation title="Delete the key?" action="Delete" onConfirm={confirm} onClose={onClose}>
      <p class="mono">
        <BytesText bytes={key} max={300} />
      </p>
      <p>
        It is deleted only if it is still as you read it: revision {formatCount(modRevision)}. Its history
        stays until it is compacted, so a version can be put back.
      </p>
    </Confirmation>
  )
}
