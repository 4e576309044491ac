// The choice of one side of a partition, for keyboards and small screens.

import { listed } from '../../../jepsen-lite/lab/captions.ts'
import { Button } from '../design/button.tsx'
import { Checkbox } from '../design/field.tsx'
import { faultMs, nodes, picked } from './lab-state.ts'
import { DurationSelect, Panel } from './panel.tsx'
import { choose, chosen, cutOffSide, drawnSide } from './partition-state.ts'

export function PartitionPanel() {
  const side = drawnSide.value
  const others = nodes.value.filter(({ name }) => !side?.includes(name)).map(({ name }) => name)
  return (
    <Panel title="Partition">
      <p>Draw a line through the ring, or choose the nodes of one side.</p>
      <div class="panel-buttons panel-choices">
        {nodes.value.map(({ name }) => (
          <Checkbox
            key={name}
            label={name}
            checked={chosen.value.includes(name)}
            onChange={() => choose(name)}
          />
        ))}
      </div>
      <div class="panel-buttons">
        <DurationSelect />
        <Button
          kind="primary"
          disabled={side === undefined}
          title={side === undefined ? 'There must be a node on each side' : `For ${faultMs.value / 1000} s`}
          onClick={() => {
            cutOffSide()
            picked.value = undefined
          }}
        >
          Cut these off from the others
        </Button>
      </div>
      {side !== undefined && (
        <p class="dim">
          {listed(side)} on one side, {listed(others)} on the other.
        </p>
      )}
    </Panel>
  )
}
