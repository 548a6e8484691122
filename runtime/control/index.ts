export { createControlClient, findRunningNode, requireRunningNode, type ControlClient } from './client.ts'
export type { WorkerSummary } from './commands/workers.ts'
export type { ControlAnswer, ControlPort, MeshPort } from './control.port.ts'
export { startControlServer, type ControlServer } from './server.ts'
