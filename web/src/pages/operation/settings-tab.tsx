// The replicated settings, each with what it does, its default and its allowed values.

import { useState } from 'preact/hooks'
import { useRequest } from '../../cluster/use-request.ts'
import { Button } from '../../design/button.tsx'
import { Notice } from '../../design/notice.tsx'
import type { TabProps } from './admin-right.ts'
import { OutcomeLine } from './outcome.tsx'
import { LeaderLeaseSwitch, readSettings, SettingChange } from './setting-change.tsx'
import { groupSettings, isChangeable, rangeText, type SettingField, valueText } from './setting-fields.ts'

export function SettingsTab({ mayChange }: TabProps) {
  const [changed, setChanged] = useState<SettingField>()
  const [outcome, setOutcome] = useState<string>()
  const { data, error, reload } = useRequest(readSettings, [])
  const props = {
    onClose: () => setChanged(undefined),
    onDone: (text: string) => {
      setOutcome(text)
      reload()
    },
  }
  return (
    <section class="operation">
      <p class="operation-lead">
        All nodes apply the same settings. A change holds as soon as it is written.
      </p>
      {error !== undefined && <Notice kind="problem">{error}</Notice>}
      <OutcomeLine text={outcome} />
      {groupSettings(data ?? []).map(({ title, fields }) => (
        <section key={title} class="settings-group">
          <h2>{title}</h2>
          <ul>
            {fields.map((field) => (
              <Setting
                key={field.name}
                field={field}
                onChange={
                  mayChange
                    ? () => {
                        setOutcome(undefined)
                        setChanged(field)
                      }
                    : undefined
                }
              />
            ))}
          </ul>
        </section>
      ))}
      {changed !== undefined &&
        (typeof changed.value === 'boolean' ? (
          <LeaderLeaseSwitch isOn={changed.value} {...props} />
        ) : (
          <SettingChange field={changed} value={changed.value} onConflict={reload} {...props} />
        ))}
    </section>
  )
}

interface SettingProps {
  readonly field: SettingField
  /** undefined: the user may not. */
  readonly onChange: (() => void) | undefined
}

function Setting({ field, onChange }: SettingProps) {
  const { name, value, unit, rule } = field
  const range = rangeText(field)
  return (
    <li class="setting">
      <div class="setting-about">
        <code>{name}</code>
        <p>
          {rule === undefined
            ? 'A newer node has it: this page does not know what it does.'
            : `${rule.description}.`}
        </p>
      </div>
      <div class="setting-value">
        <strong>{valueText(value, unit)}</strong>
        <p>
          {rule?.default !== undefined &&
            (rule.default === value ? 'the default' : `default ${valueText(rule.default, unit)}`)}
          {rule?.default !== undefined && range !== undefined && ' · '}
          {range}
        </p>
      </div>
      {onChange !== undefined && isChangeable(field) && (
        <Button kind="quiet" label={`Change ${name}`} onClick={onChange}>
          Change
        </Button>
      )}
    </li>
  )
}
