import { Button } from '../design/button.tsx'
import { CopyButton } from '../design/copy-button.tsx'
import { Dialog } from '../design/dialog.tsx'
import { Mark } from '../design/mark.tsx'
import { Notice } from '../design/notice.tsx'
import { addressOf } from './address.ts'
import './check-dialog.css'
import { client } from './lab-state.ts'

/** The run with all checks of `jepsen-lite replay`. */
export function CheckDialog() {
  const { value } = client.checked
  if (value === undefined) return null
  return (
    <Dialog title="Check of this run" onClose={() => (client.checked.value = undefined)}>
      {value === 'in progress' ? (
        <p role="status">The run is repeated, without faults at its end, and every rule is checked …</p>
      ) : (
        <div class="check">
          {value.violation === undefined ? (
            <p>
              <Mark of="written" text="No rule is broken." /> The answers of all clients are linearizable, no
              acknowledged write is lost, and the nodes agree at the end.
            </p>
          ) : (
            <>
              <Notice kind="problem">A rule is broken: {value.violation}</Notice>
              <p>
                <Button kind="primary" onClick={() => client.goToBreak(value)}>
                  Go to the step where it breaks
                </Button>
              </p>
            </>
          )}
          <dl class="check-hash">
            <dt>Hash of all events</dt>
            <dd>
              <code>{value.trace}</code> <CopyButton text={value.trace} what="the hash" />
            </dd>
          </dl>
          <p class="dim">
            jepsen-lite replay prints the same hash, on any machine, for a file with the address of the
            checked run.{' '}
            <CopyButton text={() => addressOf(value.link)} what="the address of the checked run" />
          </p>
        </div>
      )}
    </Dialog>
  )
}
