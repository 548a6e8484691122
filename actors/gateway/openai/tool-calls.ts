import type { ToolCallDelta } from '../../../machines/tools/index.ts'
import type { ToolCall } from '../../../protocol/index.ts'
import type { ToolCallDeltaWire, ToolCallWire } from './wire.ts'

export const toCalls = (calls: readonly ToolCall[]): ToolCallWire[] =>
  calls.map(({ id, name, arguments: given }) => ({
    id,
    type: 'function',
    function: { name, arguments: given },
  }))

export const toCallDeltas = (deltas: readonly ToolCallDelta[]): ToolCallDeltaWire[] =>
  deltas.map(({ index, id, name, arguments: given }) => ({
    index,
    ...(id !== undefined && { id, type: 'function' }),
    function: { ...(name !== undefined && { name }), arguments: given },
  }))
