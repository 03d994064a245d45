"""All products, ours first."""

from __future__ import annotations

from bench.peers import gengfu, modpoll, nodered, thingsboard

PRODUCTS = {
    product.name: product for product in (gengfu.PRODUCT, thingsboard.PRODUCT, modpoll.PRODUCT, nodered.PRODUCT)
}
