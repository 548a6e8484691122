export * from './swarm-timings.ts'
export * from './swarm.machine.ts'
