import { useState } from 'preact/hooks'
import { changeSettings } from '../../../../src/operations/change-settings.ts'
import { decodeSettings } from '../../../../src/operations/http/settings.ts'
import { settings } from '../../../../src/operations/settings.ts'
import { nameChange } from '../../cluster/change.ts'
import { describeError, run } from '../../cluster/connection.ts'
import { useChange } from '../../cluster/use-change.ts'
import { Confirmation } from '../../design/dialog.tsx'
import { TextField } from '../../design/field.tsx'
import { formatCount } from '../../design/numbers.ts'
import { failedChange } from './outcome.tsx'
import { parseQuantity, quantityText, UNIT_EXAMPLE, type Unit } from './quantity.ts'
import { endsHistory, listSettings, rangeText, type SettingField, valueText } from './setting-fields.ts'

interface ChangeProps {
  readonly onClose: () => void
  readonly onDone: (text: string) => void
}

interface SettingChangeProps extends ChangeProps {
  readonly field: SettingField
  readonly value: number
  /** Reads the settings again: somebody else has changed one. */
  readonly onConflict: () => void
}

export const readSettings = async (signal?: AbortSignal): Promise<readonly SettingField[]> =>
  listSettings((await run(settings, { kind: 'settings' }, signal && { signal })).result)

/**
 * The setting as it is now, if somebody has changed it since it was `seen`, and not to `next`. A change of settings has
 * no condition: this finds what was changed while the dialog was open, and not what is changed at the same moment.
 */
async function findConflict(seen: SettingField, next: number): Promise<SettingField | undefined> {
  try {
    const now = (await readSettings()).find(({ name }) => name === seen.name)
    return now?.value === seen.value || now?.value === next ? undefined : now
  } catch (error) {
    throw new Error(`Nothing was tried: the settings cannot be read now. ${describeError(error)}.`)
  }
}

const DURATION = 'leases.duration_ms'
const RAW: Readonly<Record<Unit, string>> = { bytes: 'bytes', ms: 'ms', count: '' }

/** Changes one setting that is a number. */
export function SettingChange({ field: given, value, onClose, onDone, onConflict }: SettingChangeProps) {
  const [field, setField] = useState(given)
  const { name, unit, rule } = field
  const change = useChange()
  const [text, setText] = useState(() => quantityText(value, unit))
  const next = parseQuantity(text, unit)
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = rule ?? {}
  const isAllowed = next !== undefined && next >= minimum && next <= maximum
  const isLess = next !== undefined && endsHistory(field, next)
  const confirm = async (): Promise<void> => {
    if (next === undefined || !isAllowed) throw new Error('Nothing was changed: the value is not allowed.')
    const conflict = await findConflict(field, next)
    if (conflict !== undefined) {
      setField(conflict)
      onConflict()
      throw new Error(
        `Nothing was changed: somebody else has set it to ${valueText(conflict.value, unit)} meanwhile, and you chose ${quantityText(next, unit)}. Look at both, and decide once more.`,
      )
    }
    try {
      if (name === DURATION) await changeLeaderLeases({ durationMs: next })
      else
        await change(changeSettings, {
          kind: 'change-settings',
          settings: decodeSettings({ [name]: next }),
          idempotency: nameChange(),
        })
      onDone(`${name} is ${quantityText(next, unit)} now.`)
    } catch (error) {
      throw failedChange(error)
    }
  }
  return (
    <Confirmation
      title={`Change ${name}`}
      action="Change"
      kind={isLess ? 'danger' : 'primary'}
      typed={isLess ? name : undefined}
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>{rule?.description}.</p>
      <TextField
        label="Value"
        value={text}
        onInput={setText}
        error={
          next === undefined
            ? `A whole amount is needed, ${UNIT_EXAMPLE[unit]}`
            : isAllowed
              ? undefined
              : `Allowed: ${rangeText(field)}`
        }
        hint={`${next === undefined ? '' : `= ${formatCount(next)} ${RAW[unit]}`.trim()}${
          rule?.default === undefined ? '' : ` · default ${quantityText(Number(rule.default), unit)}`
        } · allowed ${rangeText(field)}`}
      />
      {isLess && (
        <p>
          History beyond the new limit is compacted soon after. It cannot be read any more, and a higher limit
          does not bring it back.
        </p>
      )}
    </Confirmation>
  )
}

/** Turns leader leases on or off. */
export function LeaderLeaseSwitch({ isOn, onClose, onDone }: ChangeProps & { readonly isOn: boolean }) {
  const confirm = async (): Promise<void> => {
    try {
      await changeLeaderLeases({ on: !isOn })
      onDone(`Leader leases are ${isOn ? 'off' : 'on'} now.`)
    } catch (error) {
      throw failedChange(error)
    }
  }
  if (isOn)
    return (
      <Confirmation
        title="Turn leader leases off?"
        action="Turn off"
        kind="primary"
        onConfirm={confirm}
        onClose={onClose}
      >
        <p>
          Reads with consistency=lease become linearizable reads: each waits for a round trip to a majority.
          Nothing else depends on the clocks of the nodes then.
        </p>
      </Confirmation>
    )
  return (
    <Confirmation
      title="Turn leader leases on?"
      action="Turn on"
      typed="leases"
      onConfirm={confirm}
      onClose={onClose}
    >
      <p>
        Reads with consistency=lease are then answered by the leader alone, without a round trip. Other reads
        stay as they are.
      </p>
      <p>
        The risk: such a read may be stale if the clock of a node runs more than 5 % faster or slower than the
        others, or stops, as the clock of a virtual machine may do. After the loss of a leader, an election
        waits for the end of its lease.
      </p>
    </Confirmation>
  )
}

/** The switch of leader leases is no entry of the store, so a change of it has no token. */
const changeLeaderLeases = (leases: { readonly on?: boolean; readonly durationMs?: number }) =>
  run(changeSettings, { kind: 'change-settings', settings: {}, leases, idempotency: undefined })
