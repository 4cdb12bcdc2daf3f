"""One file per chip, and the camera. A name in the configuration leads to a class here.

Classes are named by string and loaded when used, so that a workstation needs no camera stack.
"""

DEVICE_CLASSES = {
    "adxl345": "wban_collect.devices.adxl345:Adxl345",
    "lis3dh": "wban_collect.devices.lis3dh:Lis3dh",
    "lsm6dsox": "wban_collect.devices.lsm6dsox:Lsm6dsox",
    "mpu6050": "wban_collect.devices.mpu6050:Mpu6050",
    "mlx90640": "wban_collect.devices.mlx90640:Mlx90640",
    "mlx90640-adafruit": "wban_collect.devices.mlx90640_adafruit:AdafruitMlx90640",
    "picamera": "wban_collect.devices.picamera:PicameraDevice",
}
