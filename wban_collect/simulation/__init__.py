"""Simulated chips below the real drivers, and the simulated people who wear them."""

SIMULATED_CLASSES = {
    "bus": "wban_collect.simulation.bus:SimulatedI2CBus",
    "adxl345": "wban_collect.simulation.adxl345:SimulatedAdxl345",
    "lis3dh": "wban_collect.simulation.lis3dh:SimulatedLis3dh",
    "lsm6dsox": "wban_collect.simulation.lsm6dsox:SimulatedLsm6dsox",
    "mpu6050": "wban_collect.simulation.mpu6050:SimulatedMpu6050",
    "mlx90640": "wban_collect.simulation.mlx90640:SimulatedMlx90640",
    "camera": "wban_collect.simulation.camera:SimulatedPicamera2",
    "edges": "wban_collect.simulation.edges:SimulatedEdges",
}
