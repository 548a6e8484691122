/** What other packages may import from `qmesh/inspect`. */
export { inspect, type InspectOptions, type InspectServer } from './inspect.ts'
